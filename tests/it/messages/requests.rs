//! Requests of any kind to a gateway whose upstream answers with the very bytes that it received.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::cases::{Case, Outcome, all};
use super::lenient::{READERS, Side, agree};
use super::split::Split;
use super::{Log, Run, canonical, canonical_request, expect_end, expect_none, gateway, shown};
use crate::harness::message::{self, WireError};
use crate::harness::upstream::ok;
use crate::harness::{Client, Key, Peer, Token, Upstream};

/// Stands in a case for a token that `/private/` takes.
const TOKEN: &str = "@TOKEN@";

/// Answers each request with what it was, and counts those that were whole.
fn echo(mut peer: Peer, whole: &AtomicUsize) {
    loop {
        peer.recorded();
        match message::read_request(&mut peer) {
            Ok(request) => {
                whole.fetch_add(1, Ordering::SeqCst);
                let bytes = canonical(&peer.recorded(), &request);
                let response = if request.method() == "HEAD" {
                    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                    format!("HTTP/1.1 200 OK\r\nX-Seen: {hex}\r\n\r\n").into_bytes()
                } else {
                    ok(bytes)
                };
                if peer.try_send(response).is_err() {
                    return;
                }
            }
            // A request that was cut was not meant to be served.
            Err(WireError::Ended | WireError::Reset | WireError::Truncated(_)) => return,
            // The connection waits in the gateway's pool.
            Err(WireError::Silent) => {}
            Err(error) => panic!("the gateway sent a bad request: {error:?}"),
        }
    }
}

#[test]
fn requests_become_what_their_cases_say() {
    let key = Key::p256("k");
    let token = Token::new().claim("sub", "ann").sign(&key);
    let mut wrong = Vec::new();
    for section in all("requests") {
        let whole = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&whole);
        let upstream = Upstream::scripted(move |_, peer| echo(peer, &counting));
        let gateway = gateway(&section.gateway, &upstream, &key);
        let run = Run::new(&gateway);
        let forwarded = AtomicUsize::new(0);
        run.each(
            &section,
            |case| Split::for_message(&case.bytes),
            |client, at, split| {
                let case = &section.cases[at];
                let bytes = with_token(&case.bytes, &token);
                split.send(client, &bytes);
                client.finish_sending();
                let log: Log = case
                    .outcomes
                    .iter()
                    .filter_map(|outcome| expect(client, case, outcome, &forwarded).transpose())
                    .collect::<Result<_, _>>()?;
                expect_end(client)?;
                Ok(log)
            },
        );
        wrong.extend(run.finish());
        // What was refused left nothing at the upstream that it could take for a request.
        let (whole, forwarded) = (whole.load(Ordering::SeqCst), forwarded.into_inner());
        if whole != forwarded {
            wrong.push(format!("{forwarded} requests were forwarded, {whole} seen upstream"));
        }
    }
    expect_none(wrong);
}

fn with_token(bytes: &[u8], token: &str) -> Vec<u8> {
    match memchr::memmem::find(bytes, TOKEN.as_bytes()) {
        Some(at) => [&bytes[..at], token.as_bytes(), &bytes[at + TOKEN.len()..]].concat(),
        None => bytes.to_vec(),
    }
}

/// Reads what a case says comes next; gives the line that the access log must have for it.
fn expect(
    client: &mut Client,
    case: &Case,
    outcome: &Outcome,
    forwarded: &AtomicUsize,
) -> Result<Option<(u64, Option<String>)>, String> {
    let what: Vec<&str> = outcome.what.iter().map(String::as_str).collect();
    let (request, status, reason) = match what.as_slice() {
        ["as", "sent"] => (Some(canonical_request(&case.bytes)?), 200, None),
        ["forwarded"] => (Some(canonical_request(&outcome.bytes)?), 200, None),
        ["closed"] => return Ok(None),
        ["closed", reason] => return Ok(Some((0, Some((*reason).to_owned())))),
        [status] => (None, status.parse().unwrap(), None),
        [status, reason] => (None, status.parse().unwrap(), Some((*reason).to_owned())),
        _ => panic!("{}: {what:?}", case.name),
    };
    let sent = request.as_ref().unwrap_or(&case.bytes);
    let is_head = sent.trim_ascii_start().starts_with(b"HEAD ");
    let response = loop {
        let response = client.try_response(if is_head { "HEAD" } else { "GET" });
        let response = response.map_err(|error| format!("{what:?} expected, {error:?}"))?;
        if response.status() != 100 {
            break response;
        }
    };
    if u64::from(response.status()) != status {
        let text = String::from_utf8_lossy(&response.body).into_owned();
        return Err(format!("{what:?} expected, {} {text:?}", response.start_line));
    }
    let closes = outcome.has("closes") || (reason.is_some() && !outcome.has("stays"));
    let says_close = response.field("Connection") == Some("close");
    if closes != says_close {
        return Err(format!("closes: {closes} expected, {:?}", response.fields));
    }
    if let Some(request) = request {
        forwarded.fetch_add(1, Ordering::SeqCst);
        let seen = if is_head { unhex(response.all("X-Seen")[0]) } else { response.body };
        if seen != request {
            return Err(format!("forwarded as\n    {}", shown(&seen)));
        }
        agree(&seen, Side::Request).map_err(|error| format!("{error} in {}", shown(&seen)))?;
    }
    Ok(Some((status, reason)))
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// The readers are worth something only if they fall for what the gateway refuses.
#[test]
fn every_lenient_reader_falls_for_some_request_that_is_refused() {
    let sections = all("requests");
    let refused: Vec<&Case> = sections
        .iter()
        .flat_map(|section| &section.cases)
        .filter(|case| case.outcomes[0].what[0].starts_with('4'))
        .collect();
    let (strict, lenient) = READERS.split_first().unwrap();
    for reader in lenient {
        let fooled = refused.iter().any(|case| {
            reader.ends(&case.bytes, Side::Request) != strict.ends(&case.bytes, Side::Request)
        });
        assert!(fooled, "{} reads everything as {} does", reader.name, strict.name);
    }
}
