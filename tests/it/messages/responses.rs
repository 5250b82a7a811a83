//! Responses of any kind from an upstream: relayed as which bytes, or 502 for which reason, and
//! whether the upstream's connection is used again.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::cases::{Case, Section, all};
use super::lenient::{Side, agree};
use super::split::Split;
use super::{Log, Run, canonical, expect_end, expect_none, gateway, shown};
use crate::harness::deadline::wait;
use crate::harness::message::{self, WireError};
use crate::harness::wire::Wire;
use crate::harness::{Client, Key, Peer, Upstream};

/// What the upstream of a section knows and finds out.
struct Script {
    section: Section,
    /// Whether the gateway runs on: the end of a connection is its choice.
    serving: AtomicBool,
    /// The requests after which the gateway has ended the connection.
    dropped: Mutex<BTreeSet<String>>,
}

impl Script {
    /// Answers `/CASE/SPLIT` with the bytes of that case, and notes how the connection goes on.
    fn run(&self, mut peer: Peer) {
        let mut last = None;
        loop {
            let request = match message::read_request(&mut peer) {
                Ok(request) => request,
                // The connection waits in the gateway's pool.
                Err(WireError::Silent) => continue,
                Err(_) => break,
            };
            let name = request.target().trim_start_matches('/').to_owned();
            let (case, split) = name.split_once('/').unwrap();
            let case = &self.section.cases[case.parse::<usize>().unwrap()];
            let split = SPLITS[split.parse::<usize>().unwrap()];
            split.send(&mut peer, &case.bytes);
            if is_set(case, "end") {
                peer.finish_sending();
                peer.wait_for_end();
                return;
            }
            last = Some(name);
        }
        if self.serving.load(Ordering::SeqCst) {
            self.dropped.lock().unwrap().extend(last);
        }
    }
}

const SPLITS: [Split; 3] = [Split::Whole, Split::LineEnds, Split::Bytes];

/// What comes behind the end of a response can be told from the next one only if both come at once.
fn splits(case: &Case) -> &'static [Split] {
    if is_set(case, "whole") { &[Split::Whole] } else { Split::for_message(&case.bytes) }
}

/// Whether the setting of a case has this word: `HEAD`, `HTTP/1.0`, `keep-alive` and `upgrade` are
/// about the request; `end`: the upstream ends the connection behind the bytes; `whole`: they
/// come at once.
fn is_set(case: &Case, word: &str) -> bool {
    case.setting.iter().any(|one| one == word)
}

#[test]
fn responses_become_what_their_cases_say() {
    let key = Key::p256("k");
    let mut wrong = Vec::new();
    for section in all("responses") {
        let script =
            Arc::new(Script { section, serving: AtomicBool::new(true), dropped: Mutex::default() });
        let running = Arc::clone(&script);
        let upstream = Upstream::scripted(move |_, peer| running.run(peer));
        let gateway = gateway(&script.section.gateway, &upstream, &key);
        let run = Run::new(&gateway);
        let dropped = Mutex::new(BTreeSet::new());
        run.each(&script.section, splits, |client, at, split| {
            let case = &script.section.cases[at];
            let name = format!("{at}/{}", SPLITS.iter().position(|one| *one == split).unwrap());
            client.send(request(case, &name));
            let relayed = expect(client, case)?;
            if !is_set(case, "end") && (relayed.1 || case.outcomes[0].has("dropped")) {
                dropped.lock().unwrap().insert(name);
            }
            Ok(relayed.0)
        });
        wrong.extend(run.finish());
        let expected = dropped.into_inner().unwrap();
        // Whether all of them end shows below.
        let _ = wait(|| script.dropped.lock().unwrap().is_superset(&expected).then_some(()));
        script.serving.store(false, Ordering::SeqCst);
        let dropped = script.dropped.lock().unwrap();
        for name in dropped.symmetric_difference(&expected) {
            let case = name.split('/').next().unwrap().parse::<usize>().unwrap();
            let case = &script.section.cases[case].name;
            let kept = if dropped.contains(name) { "not kept" } else { "kept" };
            wrong.push(format!("{case}: the upstream's connection was {kept} ({name})"));
        }
    }
    expect_none(wrong);
}

fn request(case: &Case, name: &str) -> String {
    let method = if is_set(case, "HEAD") { "HEAD" } else { "GET" };
    let version = if is_set(case, "HTTP/1.0") { "HTTP/1.0" } else { "HTTP/1.1" };
    let fields = if is_set(case, "upgrade") {
        "Connection: upgrade\r\nUpgrade: websocket\r\n"
    } else if is_set(case, "keep-alive") {
        "Connection: keep-alive\r\n"
    } else {
        ""
    };
    format!("{method} /{name} {version}\r\nHost: a\r\n{fields}\r\n")
}

/// Reads what a case says the client gets; gives what the access log must have, and whether the
/// upstream's connection must have ended for that.
fn expect(client: &mut Client, case: &Case) -> Result<(Log, bool), String> {
    let outcome = &case.outcomes[0];
    let what: Vec<&str> = outcome.what.iter().map(String::as_str).collect();
    let side = if is_set(case, "HEAD") { Side::ResponseToHead } else { Side::Response };
    let bytes = match what.as_slice() {
        ["as", "sent"] => &case.bytes,
        ["relayed"] => &outcome.bytes,
        ["cut", reason] => return expect_cut(client, side, reason),
        [status, reason] => {
            let response =
                client.try_response(method(side)).map_err(|error| format!("{error:?}"))?;
            if response.status().to_string() != *status {
                return Err(format!("{what:?} expected, {:?}", response.start_line));
            }
            client.finish_sending();
            expect_end(client)?;
            return Ok((vec![(status.parse().unwrap(), Some((*reason).to_owned()))], true));
        }
        _ => panic!("{}: {what:?}", case.name),
    };
    let mut wire = Wire::ended(bytes);
    let expected = read_all(&mut wire, side).map_err(|error| format!("no response: {error:?}"))?;
    if wire.read_to_end() != Ok(Vec::new()) {
        return Err("the case expects more than a response".to_owned());
    }
    let got = read_all(client, side).map_err(|error| format!("{error:?}"))?;
    client.finish_sending();
    expect_end(client)?;
    if got != expected {
        let got: Vec<String> = got.iter().map(|(_, bytes)| shown(bytes)).collect();
        return Err(format!("relayed as\n    {}", got.join("\n    then\n    ")));
    }
    for (status, message) in &got {
        let switched = *status == 101;
        let head = memchr::memmem::find(message, b"\r\n\r\n").unwrap() + 4;
        let message = if switched { &message[..head] } else { message };
        agree(message, side).map_err(|error| format!("{error} in {}", shown(message)))?;
    }
    Ok((vec![(u64::from(got.last().unwrap().0), None)], false))
}

fn method(side: Side) -> &'static str {
    if side == Side::ResponseToHead { "HEAD" } else { "GET" }
}

/// Responses up to the final one, each in its one spelling; behind a 101 all that comes.
fn read_all(wire: &mut Wire, side: Side) -> Result<Vec<(u16, Vec<u8>)>, WireError> {
    let mut all = Vec::new();
    wire.recorded();
    loop {
        let mut response = message::read_response(wire, method(side))?;
        let status = response.status();
        let bytes = wire.recorded();
        if status == 101 {
            response.body = wire.read_to_end()?;
        }
        all.push((status, canonical(&bytes, &response)));
        if status >= 200 || status == 101 {
            return Ok(all);
        }
    }
}

/// A body that breaks off or a rule: 502 where nothing has been relayed yet, else a cut that no
/// client takes for an end.
fn expect_cut(client: &mut Client, side: Side, reason: &str) -> Result<(Log, bool), String> {
    let head = message::read_response_head(client, method(side));
    let mut head = head.map_err(|error| format!("{error:?}"))?;
    let body = message::read_body(client, &mut head);
    let cut = matches!(body, Err(WireError::Truncated(_) | WireError::Reset));
    if !cut && head.status() != 502 {
        return Err(format!("a cut expected, {:?} {:?}", head.start_line, head.body));
    }
    Ok((vec![(u64::from(head.status()), Some(reason.to_owned()))], true))
}
