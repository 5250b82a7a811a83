//! What must hold of everything that the gateway sends, whatever it received.

use ringgate::http1::{
    FieldSlots, HeadLimits, Progress, RequestError, parse_request, parse_response,
};
use ringgate::snapshot::path_normalization::PathNormalization;
use ringgate::tls::DECLINED;

use super::lenient::{End, READERS, Side, agree};
use super::script::{Script, Seen};

/// Wider than the gateway's own: fields are added on the way.
const LIMITS: HeadLimits =
    HeadLimits { head_bytes: 64 * 1024, head_fields: 60, target_bytes: 8 * 1024 };

/// A whole request.
#[derive(Debug)]
pub struct Message<'s> {
    bytes: &'s [u8],
    /// Its body, without chunks.
    pub body: Vec<u8>,
}

impl Message<'_> {
    /// The first word.
    pub fn method(&self) -> &[u8] {
        method(self.bytes)
    }

    /// The head as it came and the body without chunks.
    pub fn spelled(&self) -> Vec<u8> {
        [&self.bytes[..head_end(self.bytes)], &self.body].concat()
    }

    /// Whether what follows it may be no HTTP.
    fn may_switch(&self) -> bool {
        let head = self.bytes.to_ascii_lowercase();
        self.method() == b"CONNECT" || memchr::memmem::find(&head, b"\r\nupgrade:").is_some()
    }

    fn is_as(&self, other: &Self) -> bool {
        self.method() == other.method() && self.body == other.body
    }
}

/// The requests of a stream.
#[derive(Debug)]
pub struct Messages<'s> {
    pub whole: Vec<Message<'s>>,
    /// What comes behind them.
    rest: &'s [u8],
}

/// Reads what the gateway sends to an upstream, strictly, up to a request behind which may be
/// anything.
pub fn forwarded(stream: &[u8]) -> Messages<'_> {
    messages(stream, |message| message.may_switch())
}

fn asked(client: &[u8]) -> Messages<'_> {
    messages(client, |_| false)
}

fn messages(stream: &[u8], is_last: fn(&Message<'_>) -> bool) -> Messages<'_> {
    let mut messages = Messages { whole: Vec::new(), rest: stream };
    while let Some((End::At(end), body)) = READERS[0].read(messages.rest, Side::Request) {
        let (bytes, rest) = messages.rest.split_at(end);
        let message = Message { bytes, body };
        messages.rest = rest;
        let is_last = is_last(&message);
        messages.whole.push(message);
        if is_last {
            break;
        }
    }
    messages
}

/// Panics where the gateway has sent what can be misread, or what nobody has asked for.
pub fn check(script: &Script, seen: &Seen) {
    let asked = asked(&script.client);
    for stream in &seen.upstream {
        check_forwarded(&asked, stream);
    }
    check_responses(&script.client, &seen.client);
}

/// Everything is a request that every reader reads alike, and that the client has sent, in order;
/// only the last may be cut off.
fn check_forwarded(asked: &Messages<'_>, stream: &[u8]) {
    let forwarded = forwarded(stream);
    let mut candidates = asked.whole.iter();
    for message in &forwarded.whole {
        agree(message.bytes, Side::Request)
            .unwrap_or_else(|error| panic!("{error} in {}", shown(message.bytes)));
        let was_sent = candidates.any(|sent| sent.is_as(message));
        assert!(was_sent, "nobody has sent {}", shown(message.bytes));
    }
    let is_tunnel = forwarded.whole.last().is_some_and(Message::may_switch);
    if !is_tunnel && !forwarded.rest.is_empty() {
        let mut slots = FieldSlots::new();
        let beginning = parse_request(forwarded.rest, &mut slots, LIMITS, PathNormalization::Off);
        // A request of HTTP/1.0 without a host goes on with an empty one (RFC 9112 section 3.2), which
        // is not taken from clients.
        let is_hostless = memchr::memmem::find(forwarded.rest, b"\r\nHost: \r\n").is_some()
            && matches!(beginning, Err(RequestError::HostSyntax));
        assert!(beginning.is_ok() || is_hostless, "{beginning:?} of {}", shown(forwarded.rest));
    }
}

/// The responses that a client was sent.
pub struct Responses<'s> {
    /// Heads as they came, and bodies without chunks.
    pub whole: Vec<(&'s [u8], Vec<u8>)>,
    /// What comes behind them: one that was cut off, or a tunnel's bytes.
    pub rest: &'s [u8],
    /// The method that the last was in answer to, and whether it is a tunnel that follows.
    last: (&'s [u8], bool),
}

/// Reads what a client was sent strictly, up to what is not whole.
pub fn responses<'s>(client: &'s [u8], stream: &'s [u8]) -> Responses<'s> {
    let asked = asked(client);
    // What was not whole, or is none, may have been answered as well.
    let more = (!asked.rest.is_empty()).then(|| method(asked.rest));
    let mut methods = asked.whole.iter().map(|message| method(message.bytes)).chain(more);
    let mut responses = Responses { whole: Vec::new(), rest: stream, last: (b"", false) };
    let mut is_interim = false;
    while !responses.rest.is_empty() && !responses.last.1 {
        if !is_interim {
            let next = methods.next();
            let next = next.unwrap_or_else(|| panic!("nobody asked for {}", shown(responses.rest)));
            responses.last.0 = next;
        }
        let Some((end, body)) = READERS[0].read(responses.rest, responses.side()) else { break };
        let end = if let End::At(end) = end { end } else { responses.rest.len() };
        let (message, rest) = responses.rest.split_at(end);
        agree(message, responses.side())
            .unwrap_or_else(|error| panic!("{error} in {}", shown(message)));
        let status = &message[9..12];
        let is_tunnel = responses.last.0 == b"CONNECT" && status.starts_with(b"2");
        responses.last.1 = status == b"101" || is_tunnel;
        is_interim = status.starts_with(b"1");
        responses.whole.push((&message[..head_end(message)], body));
        responses.rest = rest;
    }
    responses
}

impl Responses<'_> {
    fn side(&self) -> Side {
        if self.last.0 == b"HEAD" { Side::ResponseToHead } else { Side::Response }
    }
}

/// Everything is a response that every reader reads alike, to a request each; only the last may be
/// cut off.
fn check_responses(client: &[u8], stream: &[u8]) {
    // Who begins as TLS does is told so in its words, of which a client that leaves gets a part.
    if client.first() == Some(&0x16) && DECLINED.starts_with(stream) {
        return;
    }
    let responses = responses(client, stream);
    let (method, is_tunnel) = responses.last;
    if is_tunnel || responses.rest.is_empty() {
        return;
    }
    let method = String::from_utf8_lossy(method);
    let mut slots = FieldSlots::new();
    let beginning = parse_response(responses.rest, &mut slots, LIMITS, &method);
    let is_one = matches!(beginning, Ok(Progress::Partial | Progress::Complete(_)));
    assert!(is_one, "{beginning:?} of {}", shown(responses.rest));
}

fn head_end(message: &[u8]) -> usize {
    memchr::memmem::find(message, b"\r\n\r\n").map_or(message.len(), |at| at + 4)
}

/// The first word of a message, which may have an empty line before it.
fn method(bytes: &[u8]) -> &[u8] {
    let start = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    start.split(|byte| *byte == b' ').next().unwrap_or_default()
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
