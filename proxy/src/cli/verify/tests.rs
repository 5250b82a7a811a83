//! What the operator reads, with the tokens of RFC 7515 and RFC 8037.

use clap::Parser;

use super::*;

const JWKS: &str = r#"{"keys":[
    {"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
     "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
    {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
const ES256: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const EDDSA: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

#[derive(Debug, clap::Parser)]
struct Arguments {
    #[command(flatten)]
    verify: Verify,
}

/// The text that these arguments print.
fn printed(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let jwks = folder.path().join("jwks.json");
    std::fs::write(&jwks, JWKS).unwrap();
    let front = ["verify", "--jwks", jwks.to_str().unwrap()];
    let parsed = Arguments::try_parse_from(front.iter().chain(arguments)).unwrap();
    describe(&parsed.verify.explanation().unwrap())
}

#[test]
fn an_accepted_token_shows_every_check() {
    let text = printed(&["--issuer", "joe", "--now", "1300819379", ES256]);
    let checks: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("ok     ")?.split(':').next()).collect();
    assert_eq!(
        checks,
        [
            "size",
            "characters",
            "segments",
            "header",
            "header is JSON",
            "alg",
            "header extensions",
            "typ is a string",
            "kid",
            "payload",
            "claims are JSON",
            "iss",
            "size for the provider",
            "algorithm allowed",
            "signature encoding",
            "keys loaded",
            "key",
            "signature",
            "aud",
            "exp",
            "exp required",
            "time",
            "claim headers",
        ]
    );
    assert!(text.ends_with("\naccepted\n"), "{text}");
}

#[test]
fn a_rejected_token_shows_the_check_that_failed_last() {
    let text = printed(&["--issuer", "joe", "--now", "1300819380", ES256]);
    let mut lines = text.lines().rev();
    assert_eq!(lines.next(), Some("rejected: token expired (auth.expired)"));
    assert_eq!(
        lines.next(),
        Some(
            "FAILED time: exp 1300819380, nbf missing, iat missing; \
             wanted: exp after, nbf and iat not after 1300819380 within 0 s"
        )
    );
    for (arguments, code) in [
        (["--issuer", "jane"], "auth.issuer"),
        (["--audience", "orders"], "auth.audience"),
        (["--algorithms", "RS256,EdDSA"], "auth.algorithm_not_allowed"),
    ] {
        let text = printed(&[&arguments[..], &["--now", "1300819379", ES256]].concat());
        assert!(text.ends_with(&format!("({code})\n")), "{text}");
    }
}

#[test]
fn signature_only_takes_a_payload_that_is_no_claims_set() {
    assert!(printed(&["--signature-only", EDDSA]).ends_with("\naccepted\n"));
    assert!(printed(&[EDDSA]).ends_with("(auth.claims_json)\n"));
}

#[test]
fn leeway_counts_and_has_its_limit() {
    let late = ["--now", "1300819400", ES256];
    assert!(printed(&late).ends_with("(auth.expired)\n"));
    assert!(printed(&[&["--leeway", "30s"], &late[..]].concat()).ends_with("\naccepted\n"));
    let beyond = Arguments::try_parse_from(["verify", "--jwks", "x", "--leeway", "301s", ES256]);
    assert!(beyond.is_err());
}

#[test]
fn what_a_signature_does_not_depend_on_is_no_argument_beside_it() {
    for more in [["--issuer", "joe"], ["--audience", "a"], ["--leeway", "1s"], ["--now", "1"]] {
        let front = ["verify", "--jwks", "f", "--signature-only"];
        let line = front.iter().chain(&more).chain(&[ES256]);
        let error = Arguments::try_parse_from(line).unwrap_err();
        assert_eq!(error.kind(), clap::error::ErrorKind::ArgumentConflict, "{more:?}");
    }
}
