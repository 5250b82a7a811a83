//! The shield: what it does now, who is banned and why, and the lifting of bans.

use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::Sources;
use super::answer::Answer;
use super::endpoints::Request;
use crate::control::assists::Report;
use crate::control::bans::{Lift, Listing, book::Ban};
use crate::control::event::Event;
use crate::control::question::ask;
use crate::kernel::{Assist, Verdict};
use crate::snapshot::peers::{BanMode, Source, prefix_of, source_of};

/// For the control thread to come to it.
const WAIT: Duration = Duration::from_secs(5);

/// State, frames by verdict, and every ban.
pub(super) fn show(_request: &Request, sources: &Sources, now: Instant) -> Answer {
    let asked = ask(&sources.events, WAIT, |reply| Event::AdminBans { reply });
    let Some(Listing { mode, bans }) = asked else {
        return Answer::text(503, "the control thread is busy\n");
    };
    let wall = SystemTime::now();
    let (state, frames) = {
        let running = sources.status.lock();
        let state = running.assists.iter().find(|report| report.assist == Assist::Shield);
        (state.map(Report::describe), running.frames.clone())
    };
    let bans = bans.iter().map(|(source, ban)| {
        let mut body = describe(*source, ban, now, wall);
        body["mode"] = json!(mode.map(BanMode::name));
        body
    });
    Answer::json(
        200,
        &json!({
            "xdp": state,
            "frames": frames.and_then(|frames| frames.read().ok()).map(|counters| {
                let each = Verdict::ALL.into_iter();
                each.map(|one| (one.name().to_owned(), json!(counters.of(one)))).collect::<Map<_, _>>()
            }),
            "ban_mode": mode.map_or("off", |mode| mode.name()),
            "bans": bans.collect::<Vec<_>>(),
        }),
    )
}

fn describe(source: Source, ban: &Ban, now: Instant, wall: SystemTime) -> Value {
    let at = |instant: Instant| {
        let time = match instant.checked_duration_since(now) {
            Some(ahead) => wall + ahead,
            None => wall - now.saturating_duration_since(instant),
        };
        humantime::format_rfc3339_seconds(time).to_string()
    };
    let evidence = &ban.evidence;
    json!({
        "source": prefix_of(source).to_string(),
        "since": at(ban.since),
        "until": at(ban.until),
        "times": ban.times,
        "invalid_tokens": evidence.tokens,
        "last_seen": at(evidence.last_seen),
        "listener": evidence.listener,
        "route": evidence.route,
    })
}

/// Lifts the ban of `?source=`, or all with `?source=all`.
pub(super) fn lift(request: &Request, sources: &Sources, _now: Instant) -> Answer {
    let Some(which) = request.head.parameter("source").as_deref().and_then(which) else {
        let what = "name a banned source, such as ?source=203.0.113.9, or ?source=all\n";
        return Answer::text(400, what);
    };
    match ask(&sources.events, WAIT, |reply| Event::AdminLift { which, reply }) {
        Some(0) if which != Lift::All => Answer::text(404, "this source is not banned\n"),
        Some(lifted) => Answer::json(200, &json!({ "lifted": lifted })),
        None => Answer::text(503, "the control thread is busy\n"),
    }
}

/// Any address of a source names it, and so does its prefix as it is shown.
fn which(text: &str) -> Option<Lift> {
    if text == "all" {
        return Some(Lift::All);
    }
    let address = match text.parse::<IpAddr>() {
        Ok(address) => address,
        Err(_) => {
            let prefix: IpNet = text.parse().ok()?;
            (prefix == prefix_of(source_of(prefix.addr()))).then(|| prefix.addr())?
        }
    };
    Some(Lift::Of(source_of(address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_by_an_address_or_its_prefix() {
        let of = |text: &str| Some(Lift::Of(source_of(text.parse().unwrap())));
        assert_eq!(which("all"), Some(Lift::All));
        assert_eq!(which("203.0.113.9"), of("203.0.113.9"));
        assert_eq!(which("203.0.113.9/32"), of("203.0.113.9"));
        assert_eq!(which("2001:db8::1:2:3:4"), of("2001:db8::"));
        assert_eq!(which("2001:db8::/64"), of("2001:db8::"));
        for text in ["", "203.0.113.0/24", "2001:db8::/48", "2001:db8::1/64", "a"] {
            assert_eq!(which(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_told_by_the_calendar() {
        let (now, wall) = (Instant::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(100));
        let evidence = crate::control::bans::book::Evidence {
            tokens: 3,
            last_seen: now,
            listener: "public".into(),
            route: "api".into(),
        };
        let since = now - Duration::from_secs(10);
        let ban = Ban { since, until: since + Duration::from_secs(60), times: 2, evidence };
        let expected = json!({
            "source": "203.0.113.9/32",
            "since": "1970-01-01T00:01:30Z",
            "until": "1970-01-01T00:02:30Z",
            "times": 2,
            "invalid_tokens": 3,
            "last_seen": "1970-01-01T00:01:40Z",
            "listener": "public",
            "route": "api",
        });
        let source = source_of("203.0.113.9".parse().unwrap());
        assert_eq!(describe(source, &ban, now, wall), expected);
    }
}
