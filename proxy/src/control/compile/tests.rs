//! Snapshots of small configurations.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::control::config::parse;
use crate::snapshot::ids::{ProviderId, RouteId, UpstreamId};
use crate::snapshot::route_condition::Held;
use crate::snapshot::route_table::Action;

const KEY: &str = r#"{ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k1",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }] }"#;

fn config() -> Config {
    let text = r#"{
      "listeners": [
        { "name": "public", "address": "127.0.0.1:8080" },
        { "name": "inner", "address": "127.0.0.1:8081" },
        { "name": "bare", "address": "127.0.0.1:8082" }
      ],
      "jwt": { "realm": "r", "providers": {
        "remote": { "issuer": "https://r.example/", "audiences": ["a"], "leeway": "5s",
                    "jwks": { "url": "https://r.example/jwks.json" },
                    "claim_headers": { "X-User": "sub", "x-remote": "r" } },
        "inline": { "issuer": "https://i.example/", "audiences": "any", "jwks": { "inline": KEY },
                    "claim_headers": { "x-user": "sub", "x-team": "team" } },
        "unused": { "issuer": "https://u.example/", "audiences": "any", "jwks": { "inline": KEY },
                    "claim_headers": { "x-unused": "sub" } }
      } },
      "upstreams": {
        "named": { "endpoints": ["10.0.0.1:80", "App.example:80", "late.example:80", "unix:/s"] },
        "fixed": { "endpoints": ["[::1]:80"] }
      },
      "routes": [
        { "match": { "listener": "public" }, "jwt": { "providers": ["remote"] },
          "upstream": "named" },
        { "match": { "listener": "public", "path": "/p" },
          "jwt": { "providers": ["inline"], "mode": "permissive" }, "upstream": "fixed" },
        { "match": { "listener": "inner" }, "jwt": { "providers": ["inline"] },
          "upstream": "fixed" },
        { "name": "health", "match": { "path": "/healthz" }, "respond": { "status": 200 } }
      ],
      "limits": { "connections": 11 }
    }"#;
    parse(&text.replace("KEY", KEY), Path::new("gateway.json")).unwrap()
}

fn snapshot(keys: &HashMap<Box<str>, Arc<KeySet>>, registry: &mut Registry) -> Snapshot {
    let addresses = HashMap::from([(
        ("app.example".into(), 80),
        vec!["10.0.0.1:80".parse().unwrap(), "10.0.0.2:80".parse().unwrap()],
    )]);
    let inputs = Inputs {
        tls: &TlsServices::default(),
        generation: Generation(7),
        verdicts: Generation(7),
        deny_list: &Arc::default(),
        workers: 4,
        keys,
        addresses: &addresses,
    };
    compile(&config(), &inputs, registry).unwrap()
}

#[test]
fn ids_lead_to_what_the_file_names() {
    let snapshot = snapshot(&HashMap::new(), &mut Registry::default());
    assert_eq!(snapshot.generation, Generation(7));
    let public = ListenerId::new(0).unwrap();
    let found = snapshot.routes.find(public, "h", "/p", "GET", |_| Held::No).unwrap();
    let route = snapshot.routes.route(found);
    assert_eq!(&*route.name, "routes[1]");
    let auth = route.auth.as_ref().unwrap();
    assert_eq!((&*auth.realm, auth.mode), ("r", Mode::Permissive));
    let names = |ids: &[ProviderId]| -> Vec<Box<str>> {
        ids.iter().map(|id| snapshot.provider(*id).name.clone()).collect()
    };
    assert_eq!(names(&auth.providers), ["inline".into()]);
    let Action::Proxy(upstream) = &route.action else { panic!("{:?}", route.action) };
    assert_eq!(&*snapshot.upstream(*upstream).name, "fixed");
    let remote = snapshot.providers.iter().find(|provider| &*provider.name == "remote").unwrap();
    assert_eq!(remote.leeway, Duration::from_secs(5));
    let health = snapshot.routes.route(RouteId::new(3).unwrap());
    assert_eq!((&*health.name, health.auth.is_none()), ("health", true));
}

#[test]
fn a_listener_drops_the_claim_headers_of_all_its_routes() {
    let snapshot = snapshot(&HashMap::new(), &mut Registry::default());
    let names = |index: usize| -> Vec<&str> {
        snapshot.listeners[index].claim_header_names.iter().map(|name| &**name).collect()
    };
    assert_eq!(names(0), ["x-jwt-status", "x-remote", "x-team", "x-user"]);
    assert_eq!(names(1), ["x-team", "x-user"]);
    assert_eq!(names(2), Vec::<&str>::new());
}

#[test]
fn names_become_addresses_once_each() {
    let snapshot = snapshot(&HashMap::new(), &mut Registry::default());
    let named = UpstreamId::new(1).unwrap();
    let shown: Vec<String> =
        snapshot.upstream(named).endpoints.iter().map(|one| one.address.to_string()).collect();
    assert_eq!(shown, ["10.0.0.1:80", "10.0.0.2:80", "unix:/s"]);
}

#[test]
fn keys_come_from_the_file_or_from_the_inputs() {
    let mut keys = HashMap::new();
    let has_keys = |snapshot: &Snapshot| -> Vec<bool> {
        snapshot.providers.iter().map(|provider| provider.keys.is_some()).collect()
    };
    // By name: inline, remote, unused.
    let before = snapshot(&keys, &mut Registry::default());
    assert_eq!(has_keys(&before), [true, false, true]);
    keys.insert("remote".into(), before.providers[0].keys.clone().unwrap());
    assert_eq!(has_keys(&snapshot(&keys, &mut Registry::default())), [true, true, true]);
}

#[test]
fn workers_share_the_connections_and_never_get_more() {
    let snapshot = snapshot(&HashMap::new(), &mut Registry::default());
    assert_eq!(snapshot.limits.connections_per_worker, 2);
    assert_eq!(config().limits.for_each_of(100).connections_per_worker, 1);
}

#[test]
fn a_second_snapshot_counts_in_the_same_cells() {
    let mut registry = Registry::default();
    drop(snapshot(&HashMap::new(), &mut registry));
    let cells = registry.cells().len();
    drop(snapshot(&HashMap::new(), &mut registry));
    assert_eq!(registry.cells().len(), cells);
}
