//! Caching fields of a key set's response: no panic, a life within its bounds, and none that a field
//! more makes longer than it may.
//!
//! The input is the head of a response: lines of `Cache-Control`, `Age`, `Expires` and `Date`.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use ringgate::control::jwks::freshness::{CachingFields, time_to_live};

const SHORTEST: Duration = Duration::from_secs(60);
const DEFAULT: Duration = Duration::from_secs(300);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

fuzz_target!(|head: &str| {
    let values = |wanted: &str| -> Vec<&str> {
        let fields = head.lines().filter_map(|line| line.split_once(':'));
        fields
            .filter(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value)
            .collect()
    };
    let first = |wanted: &str| values(wanted).first().copied();
    let cache_control = values("cache-control");
    let fields = CachingFields {
        cache_control: &cache_control,
        age: first("age"),
        expires: first("expires"),
        date: first("date"),
    };
    let life = time_to_live(fields);
    assert!((SHORTEST..=LONGEST).contains(&life), "{life:?}");
    // An answer that has been in a cache is not fresher than one that has not.
    assert!(life <= time_to_live(CachingFields { age: None, ..fields }));
    let ancient = time_to_live(CachingFields { age: Some("18446744073709551615"), ..fields });
    assert!(ancient <= life);
    let forbidden = [&cache_control[..], &["no-store"]].concat();
    assert_eq!(time_to_live(CachingFields { cache_control: &forbidden, ..fields }), DEFAULT);
    let longest = [&["max-age=86400"], &cache_control[..]].concat();
    let longest = time_to_live(CachingFields { cache_control: &longest, age: None, ..fields });
    assert!(longest == LONGEST || longest == DEFAULT, "the first max-age counts");
    let nothing = CachingFields { cache_control: &[], expires: None, ..fields };
    assert_eq!(time_to_live(nothing), DEFAULT);
});
