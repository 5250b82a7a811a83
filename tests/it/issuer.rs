//! Tokens of a certified OpenID provider (the npm package oidc-provider), found by discovery.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;

use serde_json::json;

use crate::harness::oidc::OidcProvider;
use crate::harness::token::AUDIENCE;
use crate::harness::{Config, Gateway, Upstream, wait_until};

/// A gateway that believes RFC 9068 access tokens of the provider; its keys are there.
fn gateway(upstream: &Upstream, provider: &OidcProvider) -> Gateway {
    let config = Config::protecting(upstream, &[])
        .provider("tests", &provider.issuer, json!({ "discover": true }))
        .set("jwt.providers.tests.profile", "rfc9068")
        .set("workers", 2);
    let gateway = Gateway::start(&config);
    wait_until("the keys of the provider", || {
        (gateway.admin("/readyz").status() == 200).then_some(())
    });
    gateway
}

#[test]
fn tokens_of_each_algorithm_pass_and_those_for_another_audience_do_not() {
    let Some(provider) = OidcProvider::start("tokens of a certified issuer") else { return };
    let upstream = Upstream::saying("x");
    let gateway = gateway(&upstream, &provider);
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let token = provider.token(algorithm, AUDIENCE);
        assert_eq!(gateway.client().get_as("/", &token).status(), 200, "{algorithm}");
        let elsewhere = provider.token(algorithm, "elsewhere");
        assert_eq!(gateway.client().get_as("/", &elsewhere).status(), 401, "{algorithm}");
        // The last character of a signature has bits to spare; one before it has none.
        let mut forged = token.into_bytes();
        let at = forged.len() - 9;
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        assert_eq!(gateway.client().get_as("/", &forged).status(), 401, "{algorithm}, forged");
    }
}

/// The bucket allows two fetches out of turn at once: as many rotations follow each other here.
const ROTATIONS: usize = 2;

#[test]
fn a_rotation_under_load_refuses_no_token() {
    let Some(provider) = OidcProvider::start("rotation of a certified issuer") else { return };
    let upstream = Upstream::saying("x");
    let gateway = gateway(&upstream, &provider);
    let before = provider.fetches();
    let (done, served) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; 3]);
    std::thread::scope(|scope| {
        let clients = ["RS256", "ES256", "EdDSA"].into_iter().zip(&served).map(|(name, served)| {
            let (provider, gateway, done) = (&provider, &gateway, &done);
            scope.spawn(move || {
                let mut client = gateway.client();
                while !done.load(Ordering::SeqCst) {
                    let answer = client.get_as("/", &provider.token(name, AUDIENCE));
                    assert_eq!(answer.status(), 200, "{name}: {answer:?}");
                    served.fetch_add(1, Ordering::SeqCst);
                }
            })
        });
        let clients: Vec<_> = clients.collect();
        // Three more of each: no token in flight is of a key that the next rotation takes away.
        let rounds = || {
            let target = served.each_ref().map(|one| one.load(Ordering::SeqCst) + 3);
            wait_until("tokens of the newest keys", || {
                let mut pairs = served.iter().zip(target);
                let failed = clients.iter().any(ScopedJoinHandle::is_finished);
                let all = pairs.all(|(one, target)| one.load(Ordering::SeqCst) >= target);
                (failed || all).then_some(())
            });
        };
        rounds();
        for _ in 0..ROTATIONS {
            provider.rotate();
            rounds();
        }
        done.store(true, Ordering::SeqCst);
    });
    assert_eq!(provider.fetches() - before, ROTATIONS, "one for each rotation");
}
