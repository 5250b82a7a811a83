//! Section 5: what is found, for how long, and what goes when the cache is full.

use serde_json::json;

use super::bounded::{Bounded, Entry};
use super::*;
use crate::auth::tests::{Gateway, Key, NOW, claims, header, with};

fn provider(index: usize) -> ProviderId {
    ProviderId::new(index).unwrap()
}

fn query(token: &[u8]) -> Query<'_> {
    Query { token, hash: token.iter().map(|b| u64::from(*b)).sum(), generation: Generation(1) }
}

fn filled(tokens: &[&[u8]], entries_max: usize) -> Bounded<usize> {
    let mut cache = Bounded::new(entries_max);
    for (value, token) in tokens.iter().enumerate() {
        cache.insert(Entry::new(&query(token), provider(0), value, 0));
    }
    cache
}

#[test]
fn s5_equal_hashes_do_not_make_equal_tokens() {
    let mut cache = filled(&[b"ab", b"ba"], 10);
    assert_eq!(cache.find(&query(b"ab"), &[provider(0)]), Some(&0));
    assert_eq!(cache.find(&query(b"ba"), &[provider(0)]), Some(&1));
    assert_eq!(cache.find(&query(b"c!"), &[provider(0)]), None);
}

#[test]
fn s5_provider_and_generation_belong_to_the_key() {
    let mut cache = filled(&[b"a"], 10);
    assert_eq!(cache.find(&query(b"a"), &[provider(1)]), None);
    assert_eq!(cache.find(&query(b"a"), &[provider(1), provider(0)]), Some(&0));
    let later = Query { generation: Generation(2), ..query(b"a") };
    assert_eq!(cache.find(&later, &[provider(0)]), None);
    cache.insert(Entry::new(&later, provider(0), 7, 0));
    assert_eq!(cache.find(&later, &[provider(0)]), Some(&7));
    assert_eq!(cache.find(&query(b"a"), &[provider(0)]), None, "replaced, not kept beside");
}

#[test]
fn s5_a_full_cache_evicts_what_was_not_used() {
    let mut cache = filled(&[b"a", b"b", b"c"], 3);
    assert!(cache.find(&query(b"a"), &[provider(0)]).is_some());
    cache.insert(Entry::new(&query(b"d"), provider(0), 3, 0));
    let mut kept = |token: &'static [u8]| cache.find(&query(token), &[provider(0)]).copied();
    assert_eq!([kept(b"a"), kept(b"b"), kept(b"c"), kept(b"d")], [Some(0), None, Some(2), Some(3)]);
}

#[test]
fn s5_bytes_are_bounded_too() {
    let mut cache = filled(&[b"a", b"b"], 2);
    cache.insert(Entry::new(&query(b"long"), provider(0), 9, 15 * 1024));
    assert_eq!(cache.find(&query(b"long"), &[provider(0)]), Some(&9));
    cache.insert(Entry::new(&query(b"more"), provider(0), 8, 15 * 1024));
    assert_eq!(cache.find(&query(b"long"), &[provider(0)]), None);
    assert_eq!(cache.find(&query(b"more"), &[provider(0)]), Some(&8));
    cache.insert(Entry::new(&query(b"beyond"), provider(0), 7, 21 * 1024));
    assert_eq!(cache.find(&query(b"beyond"), &[provider(0)]), None);
}

#[test]
fn many_insertions_keep_table_and_entries_in_step() {
    let tokens: Vec<Vec<u8>> = (0..500_u16).map(|n| n.to_be_bytes().to_vec()).collect();
    let mut cache = Bounded::new(50);
    for (value, token) in tokens.iter().enumerate() {
        cache.insert(Entry::new(&query(token), provider(0), value, 0));
        assert_eq!(cache.find(&query(token), &[provider(0)]), Some(&value));
    }
    let kept = tokens
        .iter()
        .enumerate()
        .filter(|(value, token)| match cache.find(&query(token), &[provider(0)]) {
            Some(found) => {
                assert_eq!(found, value);
                true
            }
            None => false,
        })
        .count();
    assert_eq!(kept, 50);
}

#[test]
fn no_entries_means_no_cache() {
    let mut gateway = Gateway::new();
    gateway.cache = TokenCache::new(0);
    let token = Key::of_seed(1).sign(&header(), &claims());
    let first = gateway.judge(&token).unwrap();
    assert!(!Rc::ptr_eq(&first, &gateway.judge(&token).unwrap()));
}

#[test]
fn s5_a_hit_is_the_same_token() {
    let mut gateway = Gateway::new();
    let token = Key::of_seed(1).sign(&header(), &claims());
    let first = gateway.judge(&token).unwrap();
    assert!(Rc::ptr_eq(&first, &gateway.judge(&token).unwrap()));
}

#[test]
fn s5_a_bad_signature_is_remembered_for_ten_seconds() {
    let mut gateway = Gateway::new();
    let token = Key::of_seed(2).sign(&header(), &claims());
    assert_eq!(gateway.refuses(&token), Some(Reason::Signature));
    let query = gateway.cache.query(token.as_bytes(), gateway.generation);
    let mut known =
        |seconds| gateway.cache.find(&query, &[provider(0)], UnixTime(NOW + seconds)).is_some();
    assert!(known(9));
    assert!(!known(10));
    assert!(!known(0), "forgotten for good");
}

#[test]
fn s5_what_time_cures_is_not_remembered() {
    let mut gateway = Gateway::new();
    let token = Key::of_seed(1).sign(&header(), &with(claims(), json!({ "nbf": NOW + 5 })));
    assert_eq!(gateway.refuses(&token), Some(Reason::NotYetValid));
    gateway.now = NOW + 5;
    assert_eq!(gateway.refuses(&token), None);
}

#[test]
fn s5_refusals_never_push_out_good_tokens() {
    let mut gateway = Gateway::new();
    gateway.cache = TokenCache::new(4);
    let good = Key::of_seed(1).sign(&header(), &claims());
    let first = gateway.judge(&good).unwrap();
    for n in 0..50 {
        let bad = Key::of_seed(2).sign(&header(), &with(claims(), json!({ "n": n })));
        assert_eq!(gateway.refuses(&bad), Some(Reason::Signature));
    }
    assert!(Rc::ptr_eq(&first, &gateway.judge(&good).unwrap()));
}
