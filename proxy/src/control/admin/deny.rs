//! The deny list: what is in it, and changes of the entries that operators have added.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Sources;
use super::answer::Answer;
use super::endpoints::Request;
use crate::control::deny::book::{Change, Listing};
use crate::control::deny::document::{self, Purpose};
use crate::control::event::Event;
use crate::control::question::ask;
use crate::snapshot::deny_list::Denial;

/// For every worker to run a change; they need some milliseconds.
const WAIT: Duration = Duration::from_secs(5);
/// Of the entries in one request.
pub(super) const BODY_BYTES_MAX: usize = 1024 * 1024;
/// More do not fit the body.
const ENTRIES_MAX: usize = BODY_BYTES_MAX;

/// All entries, each with the source that it is of.
pub(super) fn list(_request: &Request, sources: &Sources, _now: Instant) -> Answer {
    let asked = ask(&sources.events, WAIT, |reply| Event::AdminDenials { reply });
    let Some(Listing { of_file, of_admin }) = asked else {
        return Answer::text(503, "the control thread is busy\n");
    };
    let of_file = of_file.iter().map(|denial| entry(denial, "file"));
    let entries = of_file.chain(of_admin.iter().map(|denial| entry(denial, "admin")));
    Answer::json(200, &json!({ "entries": entries.collect::<Vec<_>>() }))
}

fn entry(denial: &Denial, source: &str) -> Value {
    let mut entry = document::describe(denial);
    entry["id"] = json!(denial.id());
    entry["source"] = json!(source);
    entry
}

/// Adds the entries of the body.
pub(super) fn add(request: &Request, sources: &Sources, _now: Instant) -> Answer {
    match document::parse(&request.body, Purpose::Add, ENTRIES_MAX) {
        Ok(denials) => change(Change::Add(denials), "added", sources),
        Err(error) => Answer::text(400, format!("{error}\n")),
    }
}

/// Takes out the entry of `?id=`, or those of the body.
pub(super) fn remove(request: &Request, sources: &Sources, _now: Instant) -> Answer {
    if let Some(id) = request.head.parameter("id") {
        return change(Change::Remove(vec![id]), "removed", sources);
    }
    match document::parse(&request.body, Purpose::Remove, ENTRIES_MAX) {
        Ok(denials) => {
            let ids = denials.iter().map(Denial::id).collect();
            change(Change::Remove(ids), "removed", sources)
        }
        Err(error) => Answer::text(400, format!("{error}\n")),
    }
}

fn change(change: Change, done: &str, sources: &Sources) -> Answer {
    let removes = !matches!(change, Change::Add(_));
    match ask(&sources.events, WAIT, |reply| Event::AdminDeny { change, reply }) {
        Some(Ok(changed)) if removes && changed.entries == 0 => {
            Answer::text(404, "no entry of operators is like that\n")
        }
        Some(Ok(changed)) => {
            Answer::json(200, &json!({ done: changed.entries, "kept": changed.kept }))
        }
        Some(Err(too_many)) => Answer::text(409, format!("{too_many}\n")),
        None => Answer::text(202, "taken; not every worker runs it yet\n"),
    }
}
