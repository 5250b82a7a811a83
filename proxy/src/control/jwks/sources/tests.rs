//! Sources keep what was good, share fetches and notice files.

use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::control::status::FetchCounts;

/// RFC 8037 appendix A.2, under a kid of the test's choice.
fn set(kids: &[&str]) -> String {
    let keys: Vec<String> = kids
        .iter()
        .map(|kid| {
            format!(
                r#"{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}"#
            )
        })
        .collect();
    format!("{{\"keys\":[{}]}}", keys.join(","))
}

fn text(kids: &[&str]) -> Result<Fetched, FetchError> {
    let life = Duration::from_secs(300);
    Ok(Fetched::Text { body: set(kids).into_bytes(), validators: Validators::default(), life })
}

fn url(provider: &str, interval: Option<u64>) -> Wanted {
    Wanted {
        places: vec![Place {
            location: Location::Url("https://issuer.invalid/jwks".into()),
            transport: Arc::default(),
            refresh_interval: interval.map(Duration::from_secs),
        }],
        ..bare(provider)
    }
}

/// A provider without places.
fn bare(provider: &str) -> Wanted {
    Wanted {
        provider: provider.into(),
        places: Vec::new(),
        max_stale: Some(Duration::from_secs(3600)),
        key_grace: Duration::ZERO,
        unknown_kid_interval: Duration::from_secs(10),
    }
}

fn at(location: Location) -> Place {
    Place { location, transport: Arc::default(), refresh_interval: None }
}

fn sources(wanted: &[Wanted], now: Instant) -> (Sources, Receiver<Event>) {
    let (events, received) = channel();
    let mut sources = Sources::new(events);
    sources.want(wanted, HashMap::new(), now);
    (sources, received)
}

fn kids_of(sources: &Sources, provider: &str) -> Vec<String> {
    sources.status(provider, Instant::now()).unwrap().kids()
}

#[test]
fn providers_of_one_location_share_one_fetch() {
    let now = Instant::now();
    let (mut sources, _events) = sources(&[url("a", Some(600)), url("b", Some(100))], now);
    assert_eq!(sources.list.len(), 1);
    let id = sources.list[0].id;
    assert!(sources.fetched(id, text(&["k1"]), now));
    assert_eq!(sources.keys(now).count(), 2);
    let wait = sources.next_due().unwrap() - now;
    assert!((72.0..=88.0).contains(&wait.as_secs_f64()), "the shorter interval counts: {wait:?}");
}

#[test]
fn a_failure_and_an_empty_set_keep_the_last_good_keys() {
    let now = Instant::now();
    let (mut sources, _events) = sources(&[url("a", None)], now);
    let id = sources.list[0].id;
    assert!(sources.fetched(id, text(&["k1"]), now));
    assert!(!sources.fetched(id, Err(FetchError::Status { status: 503 }), now));
    assert!(sources.status("a", Instant::now()).unwrap().last_error().unwrap().contains("503"));
    assert!(!sources.fetched(id, text(&[]), now));
    let status = sources.status("a", Instant::now()).unwrap();
    assert_eq!(status.kids(), ["k1"]);
    assert_eq!(status.fetches(), FetchCounts { changed: 1, unchanged: 0, failed: 2 });
    assert!(sources.next_due().unwrap() - now <= Duration::from_secs(2), "backs off, no more");
}

#[test]
fn the_same_keys_are_no_change_and_a_rotation_is_one() {
    let now = Instant::now();
    let (mut sources, _events) = sources(&[url("a", None)], now);
    let id = sources.list[0].id;
    assert!(sources.fetched(id, text(&["k1"]), now));
    assert!(!sources.fetched(id, text(&["k1"]), now));
    assert!(!sources.fetched(id, Ok(Fetched::NotModified { life: FILE_INTERVAL }), now));
    assert!(sources.fetched(id, text(&["k1", "k2"]), now));
    let status = sources.status("a", Instant::now()).unwrap();
    assert_eq!((status.generation, status.kids()), (2, vec!["k1".to_owned(), "k2".to_owned()]));
    assert_eq!(status.fetches(), FetchCounts { changed: 2, unchanged: 2, failed: 0 });
}

#[test]
fn the_validators_of_a_refused_text_are_not_kept() {
    let now = Instant::now();
    let (mut sources, _events) = sources(&[url("a", None)], now);
    let id = sources.list[0].id;
    assert!(sources.fetched(id, text(&["k1"]), now));
    let before = sources.list[0].validators.clone();
    let other = Validators::for_test("\"bad\"");
    let life = Duration::from_secs(300);
    let bad = Ok(Fetched::Text { body: b"<html>".to_vec(), validators: other, life });
    assert!(!sources.fetched(id, bad, now));
    assert_eq!(sources.list[0].validators, before);
}

#[test]
fn a_reload_keeps_the_keys_of_a_source_that_stays() {
    let now = Instant::now();
    let (mut sources, _events) = sources(&[url("a", None)], now);
    let id = sources.list[0].id;
    assert!(sources.fetched(id, text(&["k1"]), now));
    sources.want(&[url("renamed", None)], HashMap::new(), now);
    assert_eq!(kids_of(&sources, "renamed"), ["k1"]);
    assert!(sources.status("a", Instant::now()).is_none());
    sources.want(&[], HashMap::new(), now);
    assert!(!sources.fetched(id, text(&["k2"]), now), "forgotten");
    sources.want(&[url("a", None)], HashMap::new(), now);
    assert_eq!(sources.keys(now).count(), 0, "a forgotten source starts afresh");
}

#[test]
fn a_reload_with_another_interval_fetches_at_once() {
    let now = Instant::now();
    let (mut sources, _events) = sources(&[url("a", Some(3600))], now);
    let id = sources.list[0].id;
    assert!(sources.fetched(id, text(&["k1"]), now));
    sources.want(&[url("a", Some(3600))], HashMap::new(), now);
    assert!(sources.next_due().unwrap() > now + Duration::from_secs(60), "nothing has changed");
    sources.want(&[url("a", Some(10))], HashMap::new(), now);
    assert_eq!(sources.next_due(), Some(now));
}

#[test]
fn a_file_is_read_again_when_it_changes_and_kept_when_it_is_bad() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    std::fs::write(&path, set(&["k1"])).unwrap();
    let mut now = Instant::now();
    let location = Location::File(path.clone());
    let wanted = Wanted { places: vec![at(location)], max_stale: None, ..bare("a") };
    let (mut sources, _events) = sources(&[wanted], now);
    let mut look = |sources: &mut Sources| {
        let changed = sources.start_due(now);
        now += Duration::from_secs(61);
        changed
    };
    assert!(look(&mut sources));
    assert!(!look(&mut sources), "not read again");
    std::fs::write(&path, set(&["k1", "k2"])).unwrap();
    assert!(look(&mut sources));
    std::fs::write(&path, "{\"keys\":").unwrap();
    assert!(!look(&mut sources));
    assert_eq!(kids_of(&sources, "a"), ["k1", "k2"]);
    std::fs::remove_file(&path).unwrap();
    assert!(!look(&mut sources));
    std::fs::write(&path, set(&["k3"])).unwrap();
    assert!(look(&mut sources));
    assert_eq!(kids_of(&sources, "a"), ["k3"]);
    assert_eq!(sources.status("a", Instant::now()).unwrap().last_error(), None);
}

#[test]
fn one_fetch_at_a_time_and_it_ends_as_an_event() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let now = Instant::now();
    let location = Location::Url(address.into());
    let wanted = Wanted { places: vec![at(location)], max_stale: None, ..bare("a") };
    let (mut sources, events) = sources(&[wanted], now);
    assert!(!sources.start_due(now));
    assert_eq!(sources.next_due(), None, "in flight");
    let Event::Fetched { source, outcome } = events.recv().unwrap() else { panic!("no outcome") };
    assert!(!sources.fetched(source, outcome, now));
    assert_eq!(sources.list[0].schedule.failures(), 1);
}

#[test]
fn max_stale_drops_the_keys_and_a_confirmation_brings_them_back() {
    let now = Instant::now();
    let (mut sources, _events) = sources(&[url("a", None)], now);
    let id = sources.list[0].id;
    assert!(sources.fetched(id, text(&["k1"]), now));
    let (half, end) = (now + Duration::from_secs(1800), now + Duration::from_secs(3600));
    assert!(!sources.fetched(id, Err(FetchError::HostNotFound), half), "warned only");
    assert_eq!(sources.keys(end - Duration::from_nanos(1)).count(), 1);
    assert!(sources.fetched(id, Err(FetchError::HostNotFound), end));
    assert_eq!(sources.keys(end).count(), 0);
    let status = sources.status("a", end).unwrap();
    assert_eq!((status.key_count(), status.expired), (0, true));
    assert!(!sources.fetched(id, Err(FetchError::HostNotFound), end), "told once");
    let confirmed = Ok(Fetched::NotModified { life: FILE_INTERVAL });
    assert!(sources.fetched(id, confirmed, end), "a 304 confirms them");
    assert_eq!(sources.keys(end).count(), 1);
}

#[test]
fn the_end_of_max_stale_is_due_by_itself() {
    let now = Instant::now();
    let (mut sources, _events) = sources(&[url("a", Some(24 * 3600))], now);
    let id = sources.list[0].id;
    assert!(sources.fetched(id, text(&["k1"]), now));
    let fetch = sources.next_due().unwrap();
    assert!(fetch < now + Duration::from_secs(1800), "an interval longer than max_stale");
    assert!(sources.list[0].schedule.start(fetch), "and that one hangs");
    assert_eq!(sources.next_due(), Some(now + Duration::from_secs(1800)));
    assert!(!sources.start_due(now + Duration::from_secs(1800)));
    assert_eq!(sources.next_due(), Some(now + Duration::from_secs(3600)));
    assert!(sources.start_due(now + Duration::from_secs(3600)));
}

#[test]
fn a_reload_with_another_transport_keeps_the_keys_and_fetches_at_once() {
    let now = Instant::now();
    let (mut sources, _events) = sources(&[url("a", Some(3600))], now);
    let id = sources.list[0].id;
    assert!(sources.fetched(id, text(&["k1"]), now));
    let mut wanted = url("a", Some(3600));
    let transport = Transport { redirects_max: 1, ..Transport::default() };
    wanted.places[0].transport = Arc::new(transport);
    sources.want(&[wanted], HashMap::new(), now);
    assert_eq!(kids_of(&sources, "a"), ["k1"]);
    assert_eq!(sources.next_due(), Some(now));
}

#[test]
fn of_several_sources_the_first_with_keys_counts() {
    let now = Instant::now();
    let mut wanted = url("a", Some(60));
    wanted.places.push(at(Location::Url("https://other.invalid/jwks".into())));
    let (mut sources, _events) = sources(&[wanted], now);
    let (first, second) = (sources.list[0].id, sources.list[1].id);
    assert!(!sources.fetched(first, Err(FetchError::HostNotFound), now));
    assert!(sources.fetched(second, text(&["s"]), now), "the second stands in");
    assert_eq!(kids_of(&sources, "a"), ["s"]);
    assert!(sources.fetched(first, text(&["f"]), now), "until the first has keys");
    assert_eq!(kids_of(&sources, "a"), ["f"]);
    assert!(!sources.fetched(second, text(&["s2"]), now), "which nobody uses");
    let end = now + Duration::from_secs(3600);
    let later = end - Duration::from_secs(60);
    assert!(!sources.fetched(second, text(&["s3"]), later));
    assert!(sources.fetched(first, Err(FetchError::HostNotFound), end), "too old by now");
    let status = sources.status("a", end).unwrap();
    assert_eq!((status.kids(), status.expired), (vec!["s3".to_owned()], false));
    assert_eq!(status.fetches(), FetchCounts { changed: 4, unchanged: 0, failed: 2 });
}

#[test]
fn a_vanished_key_ends_with_its_grace_by_itself() {
    let now = Instant::now();
    let grace = Duration::from_secs(600);
    let (mut sources, _events) = sources(&[Wanted { key_grace: grace, ..url("a", None) }], now);
    let id = sources.list[0].id;
    assert!(sources.fetched(id, text(&["k1"]), now));
    assert!(sources.fetched(id, text(&["k2"]), now));
    let kids_at = |sources: &Sources, at: Instant| {
        let keys: Vec<_> =
            sources.keys(at).map(|(_, keys)| super::super::source::kids(&keys)).collect();
        keys.concat()
    };
    let end = now + grace;
    assert_eq!(kids_at(&sources, end - Duration::from_nanos(1)), ["k1", "k2"]);
    assert!(sources.list[0].schedule.start(now + Duration::from_secs(300)), "and that one hangs");
    assert_eq!(sources.next_due(), Some(end));
    assert!(sources.start_due(end), "a new snapshot is needed");
    assert_eq!(kids_at(&sources, end), ["k2"]);
    assert!(!sources.start_due(end), "told once");
}

#[test]
fn keys_from_before_a_reload_stand_in_and_age_like_others() {
    let now = Instant::now();
    let (mut sources, _events) = sources(&[url("a", None)], now);
    assert!(sources.fetched(sources.list[0].id, text(&["k1"]), now));
    let keys = sources.keys(now).next().unwrap().1;
    let previous = Previous { keys, confirmed: (now, std::time::SystemTime::now()) };
    let mut moved = url("a", None);
    moved.places = vec![at(Location::Url("https://new.invalid/jwks".into()))];
    sources.want(&[moved.clone()], HashMap::from([("a".into(), previous.clone())]), now);
    assert_eq!(kids_of(&sources, "a"), ["k1"]);
    let end = now + Duration::from_secs(3600);
    assert_eq!(sources.keys(end).count(), 0);
    assert!(sources.start_due(end), "dropped");
    sources.want(&[moved], HashMap::from([("a".into(), previous)]), now);
    let id = sources.list[0].id;
    assert!(sources.fetched(id, text(&["k2"]), now));
    assert_eq!(kids_of(&sources, "a"), ["k2"]);
    assert!(sources.fetched(id, Err(FetchError::HostNotFound), end), "what is gone is gone");
    assert_eq!(sources.keys(end).count(), 0);
}

#[test]
fn a_refresh_tells_how_each_source_did() {
    let now = Instant::now();
    let mut wanted = url("a", Some(60));
    wanted.places.push(at(Location::Url("https://other.invalid/jwks".into())));
    let (mut sources, _events) = sources(&[wanted], now);
    let (first, second) = (sources.list[0].id, sources.list[1].id);
    assert!(sources.fetched(first, text(&["f"]), now));
    assert!(!sources.fetched(second, text(&["s"]), now));
    assert!(sources.list[1].schedule.start(now + Duration::from_secs(600)));
    let asked = sources.refresh("a", now);
    assert_eq!(sources.list[0].schedule.due(), Some(now), "at once");
    assert!(sources.list[0].schedule.start(now));
    assert_eq!(asked.iter().map(|one| one.joined).collect::<Vec<_>>(), [false, true]);
    assert_eq!(sources.refreshed(asked[0]), None, "in flight");
    assert!(sources.fetched(first, text(&["g"]), now));
    assert!(!sources.fetched(second, Err(FetchError::HostNotFound), now));
    let outcome = |asked| sources.refreshed(asked).unwrap().unwrap().outcome;
    assert_eq!(outcome(asked[0]), Outcome::Changed);
    assert_eq!(outcome(asked[1]), Outcome::Failed(FetchError::HostNotFound.to_string()));
    assert_eq!(sources.refresh("nobody", now).len(), 0);
    sources.want(&[], HashMap::new(), now);
    assert_eq!(sources.refreshed(asked[0]), Some(None), "forgotten");
}
