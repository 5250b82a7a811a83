//! `ringgate check --tokens`: tokens with the verdicts that a configuration must give them.
//!
//! A line is an object: `token`; `reason`, the code of the refusal with or without `auth.`, or null
//! where the token must be accepted; `route`, needed where several routes ask for tokens; `name`.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::auth::{Criteria, Reason, UnixTime, explain};
use crate::snapshot::Snapshot;
use crate::snapshot::route_table::Route;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    token: String,
    /// Not an option of a string: null says something else than nothing.
    reason: Value,
    route: Option<String>,
    /// The thumbprint of the certificate that the client has shown.
    certificate: Option<String>,
    name: Option<String>,
}

/// What came of a corpus.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) tokens: usize,
    /// A line for each verdict that is not the expected one.
    pub(super) wrong: Vec<String>,
}

/// Judges every token of a file; the error says what about the file cannot be used.
pub(super) fn judge(file: &Path, snapshot: &Snapshot, now: UnixTime) -> Result<Outcome, String> {
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut outcome = Outcome::default();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("{}:{}", file.display(), index + 1);
        let case: Case = serde_json::from_str(line).map_err(|error| format!("{place}: {error}"))?;
        let expected = expected(&case.reason).map_err(|what| format!("{place}: {what}"))?;
        let route = route(snapshot, case.route.as_deref()).map_err(|w| format!("{place}: {w}"))?;
        let Some(policy) = &route.auth else {
            return Err(format!("{place}: route {:?} asks for no token", route.name));
        };
        let criteria = Criteria {
            policy,
            providers: &snapshot.providers,
            deny_list: &snapshot.deny_list,
            certificate: case.certificate.as_deref(),
            generation: snapshot.generation,
            now,
        };
        let explained = explain(case.token.as_bytes(), &criteria);
        let found = explained.verdict.err().map(|refusal| refusal.reason);
        outcome.tokens += 1;
        if found != expected {
            let name = case.name.map(|name| format!(" {name}:")).unwrap_or_default();
            let (expected, found) = (word(expected), word(found));
            outcome.wrong.push(format!("{place}:{name} expected {expected}, found {found}"));
        }
    }
    Ok(outcome)
}

fn word(reason: Option<Reason>) -> &'static str {
    reason.map_or("accepted", Reason::code)
}

fn expected(typed: &Value) -> Result<Option<Reason>, String> {
    let code = match typed {
        Value::Null => return Ok(None),
        Value::String(code) => code,
        _ => return Err("reason is no string and not null".into()),
    };
    let same = |reason: &&Reason| {
        reason.code() == code || reason.code().strip_prefix("auth.") == Some(code)
    };
    let found = Reason::ALL.iter().find(same);
    found.copied().map(Some).ok_or_else(|| format!("no refusal has the code {code:?}"))
}

/// The route of this name, or the only one that asks for tokens.
fn route<'s>(snapshot: &'s Snapshot, name: Option<&str>) -> Result<&'s Route, String> {
    let mut routes = snapshot.routes.routes().iter();
    if let Some(name) = name {
        return routes.find(|route| *route.name == *name).ok_or(format!("no route {name:?}"));
    }
    let mut asking = routes.filter(|route| route.auth.is_some());
    match (asking.next(), asking.next()) {
        (Some(route), None) => Ok(route),
        (None, _) => Err("no route asks for tokens".into()),
        (Some(_), Some(_)) => Err("several routes ask for tokens: route says which".into()),
    }
}
