//! The examples pass, the schema is current, and every fixture says what is wrong with it.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{JwksSource, load, schema, schema_text};
use crate::snapshot::credentials::Credentials;
use crate::snapshot::provider::TokenChecks;

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The `.json` files of a folder, in order.
fn documents(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository().join(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

#[test]
fn every_example_is_a_configuration_without_warnings() {
    let examples = documents("config/examples");
    assert!(examples.len() >= 5, "found {examples:?}");
    // A check-out keeps no permissions.
    for secret in ["hmac.key", "server.key", "gateway.key"] {
        let secret = repository().join("config/examples").join(secret);
        std::fs::set_permissions(secret, Permissions::from_mode(0o600)).unwrap();
    }
    for example in examples {
        match load(&example) {
            Ok(config) => assert_eq!(config.warnings.to_string(), ""),
            Err(errors) => panic!("{errors}"),
        }
    }
}

/// Every key that an object in the document has.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(elements) => elements.iter().for_each(|element| keys(element, found)),
        Value::Object(members) => members.iter().for_each(|(key, member)| {
            found.insert(key.clone());
            keys(member, found);
        }),
        _ => {}
    }
}

#[test]
fn the_full_example_shows_every_key() {
    let text = std::fs::read_to_string(repository().join("config/examples/full.json")).unwrap();
    let mut shown = BTreeSet::new();
    keys(&serde_json::from_str(&text).unwrap(), &mut shown);
    let schema = schema();
    let definitions = schema["$defs"].as_object().unwrap().values();
    let objects =
        definitions.chain([&schema]).filter_map(|object| object["properties"].as_object());
    let missing: Vec<&String> = objects
        .flat_map(|properties| properties.keys())
        .filter(|key| !shown.contains(*key))
        .collect();
    assert_eq!(missing, Vec::<&String>::new());
}

#[test]
fn the_committed_schema_is_that_of_the_types() {
    let committed = std::fs::read_to_string(repository().join("config/schema.json")).unwrap();
    assert!(committed == schema_text(), "run: ringgate schema > config/schema.json");
}

/// What reading a file says, with the file named as it is beside the expectation.
fn outcome(file: &Path) -> String {
    let text = match load(file) {
        Ok(config) if config.warnings.list.is_empty() => "accepted\n".to_owned(),
        Ok(config) => format!("accepted\n{}\n", config.warnings),
        Err(errors) => format!("{errors}\n"),
    };
    let folder = format!("{}/", file.parent().unwrap().display());
    text.replace(&folder, "")
}

/// Adding a case is adding a `.json` file and an `.expected` beside it.
#[test]
fn every_fixture_says_what_is_expected() {
    let fixtures = documents("tests/fixtures/config");
    assert!(fixtures.len() >= 40, "found {}", fixtures.len());
    let mut wrong = Vec::new();
    for fixture in fixtures {
        let expected = std::fs::read_to_string(fixture.with_extension("expected"));
        let (expected, found) = (expected.unwrap_or_default(), outcome(&fixture));
        if expected != found {
            wrong.push(format!("{}:\nexpected:\n{expected}found:\n{found}", fixture.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn k2_a_secret_that_others_can_read_is_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    let example = repository().join("tests/fixtures/config/hmac.key");
    let secret = folder.path().join("hmac.key");
    std::fs::copy(example, &secret).unwrap();
    let file = folder.path().join("gateway.json");
    let text = r#"{ "listeners": [{ "name": "a", "address": "127.0.0.1:0" }],
        "jwt": { "providers": { "p": { "issuer": "i", "audiences": "any", "algorithms": ["HS256"],
            "jwks": { "secret_file": "hmac.key" } } } },
        "routes": [{ "jwt": { "providers": ["p"] }, "respond": { "status": 200 } }] }"#;
    std::fs::write(&file, text).unwrap();
    for (mode, loose) in
        [(0o600, false), (0o400, false), (0o640, false), (0o644, true), (0o660, true)]
    {
        std::fs::set_permissions(&secret, Permissions::from_mode(mode)).unwrap();
        let warnings = load(&file).unwrap().warnings.to_string();
        let told = warnings.contains(&format!("hmac.key has mode {mode:04o}"));
        assert_eq!((told, warnings.is_empty()), (loose, !loose), "{mode:o}: {warnings}");
    }
}

#[test]
fn s7_c4_c10_defaults_of_a_provider_and_its_route() {
    use crate::snapshot::claims_policy::Mode;
    use crate::snapshot::key_set::Algorithm::{EdDsa, Es256, Ps256, Rs256};
    let text = r#"{ "listeners": [{ "name": "a", "address": "127.0.0.1:0" }],
        "jwt": { "providers": { "p": { "issuer": "i", "audiences": ["a"],
            "jwks": { "url": "https://a.example/jwks" } } } },
        "routes": [{ "jwt": { "providers": ["p"] }, "respond": { "status": 200 } }] }"#;
    let config = super::parse(text, Path::new("gateway.json")).unwrap();
    let provider = &config.providers[0];
    assert_eq!(provider.algorithms, [Rs256, Ps256, Es256, EdDsa]);
    assert_eq!(provider.leeway.as_secs(), 60);
    assert!(provider.require_exp && !provider.forward_token);
    assert_eq!(provider.token_bytes_max, 8192);
    assert_eq!(provider.checks, TokenChecks::default());
    assert_eq!(provider.key_tries_max, 4);
    assert_eq!(provider.max_stale.map(|span| span.as_secs()), Some(24 * 3600));
    assert_eq!(provider.locations, Credentials::default().locations);
    let [JwksSource::Url { discover: false, refresh_interval: None, transport, .. }] =
        &provider.sources[..]
    else {
        panic!("{:?}", provider.sources)
    };
    assert_eq!((transport.redirects_max, transport.allow_http), (0, false));
    let policy = config.routes[0].auth.as_ref().unwrap();
    assert_eq!((policy.mode, &*policy.realm), (Mode::Strict, "ringgate"));
    assert!(!policy.bypass_preflight && !policy.answers.strip_details);
    // C4: the audiences must be said.
    let unsaid = text.replace(r#""audiences": ["a"],"#, "");
    let error = super::parse(&unsaid, Path::new("gateway.json")).unwrap_err().to_string();
    assert!(error.contains("audiences"), "{error}");
}
