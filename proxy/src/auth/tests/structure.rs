//! Sections 2 and 3: JOSE structure, keys and signatures.

use super::*;

#[test]
fn j1_anything_but_three_full_segments_is_refused() {
    let good = Key(1).sign(&header(), &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let (h, p, s) = (parts[0], parts[1], parts[2]);
    for bad in [
        format!("{h}.{p}"),
        format!("{h}.{p}."),
        format!("{h}..{s}"),
        format!(".{p}.{s}"),
        format!("{good}."),
        format!("{good}.{s}.{s}"),
        "..".into(),
        h.into(),
    ] {
        assert_eq!(Gateway::new().refuses(&bad), Some(Reason::TokenSegments), "{bad}");
    }
}

#[test]
fn j3_another_spelling_of_the_same_bytes_is_refused() {
    let good = Key(1).sign(&header(), &claims());
    assert_eq!(Gateway::new().refuses(&good), None);
    // 64 bytes leave four unused bits in the last character.
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut twin = good.clone().into_bytes();
    let last = twin.last_mut().unwrap();
    let value = alphabet.iter().position(|c| c == last).unwrap();
    assert_eq!(value & 0xf, 0);
    *last = alphabet[value + 1];
    let twin = String::from_utf8(twin).unwrap();
    assert_eq!(Gateway::new().refuses(&twin), Some(Reason::TokenEncoding));
    // A length of 1 modulo 4 is nobody's encoding.
    assert_eq!(Gateway::new().refuses(&format!("{good}AAA")), Some(Reason::TokenEncoding));
}

#[test]
fn j4_header_and_payload_are_one_json_object_each() {
    let good = (header().to_string(), claims().to_string());
    for bad in ["[]", "{}x", "\u{feff}{}", "", "null"] {
        let token = Key(1).sign_text(bad, &good.1);
        let expected = if bad.is_empty() { Reason::TokenSegments } else { Reason::HeaderJson };
        assert_eq!(Gateway::new().refuses(&token), Some(expected), "{bad:?}");
        let token = Key(1).sign_text(&good.0, bad);
        let expected = if bad.is_empty() { Reason::TokenSegments } else { Reason::ClaimsJson };
        assert_eq!(Gateway::new().refuses(&token), Some(expected), "{bad:?}");
    }
    let token = Key(1).sign_text(b"{\"alg\":\"EdDSA\",\"x\":\"\xff\"}", &good.1);
    assert_eq!(Gateway::new().refuses(&token), Some(Reason::HeaderJson));
}

#[test]
fn j5_duplicate_member_after_unescaping_is_refused() {
    let token =
        Key(1).sign_text(r#"{"alg":"EdDSA","kid":"k1","\u0061lg":"none"}"#, claims().to_string());
    assert_eq!(Gateway::new().refuses(&token), Some(Reason::HeaderDuplicate));
    let token = Key(1).sign_text(
        header().to_string(),
        r#"{"iss":"https://issuer/","aud":"orders","exp":1700000600,"sub":"a","s\u0075b":"b"}"#,
    );
    assert_eq!(Gateway::new().refuses(&token), Some(Reason::ClaimsDuplicate));
}

#[test]
fn j6_missing_and_unknown_algorithms_are_refused() {
    for alg in [
        json!(null),
        json!(1),
        json!(["EdDSA"]),
        json!("none"),
        json!("None"),
        json!("nOnE"),
        json!("eddsa"),
        json!("hs256"),
        json!("ES256K"),
        json!(""),
    ] {
        let mut header = header();
        header["alg"] = alg.clone();
        assert_eq!(Gateway::new().refuses_header(&header), Some(Reason::Algorithm), "{alg}");
    }
    let header = with(header(), json!({ "alg": null }));
    assert_eq!(Gateway::new().refuses_header(&header), Some(Reason::Algorithm));
}

#[test]
fn j7_an_algorithm_outside_the_allow_list_is_refused() {
    let mut gateway = Gateway::new();
    gateway.providers[0].algorithms = vec![Algorithm::Es256];
    assert_eq!(gateway.refuses_header(&header()), Some(Reason::AlgorithmNotAllowed));
    for alg in ["HS256", "HS384", "HS512", "ES384", "RS384"] {
        let header = with(header(), json!({ "alg": alg }));
        let refused = Gateway::new().refuses_header(&header);
        assert_eq!(refused, Some(Reason::AlgorithmNotAllowed), "{alg} is allowed by name only");
    }
}

#[test]
fn j8_any_crit_is_refused() {
    for crit in [
        json!("b64"),
        json!([]),
        json!(["exp"]),
        json!(["exp", "exp"]),
        json!(["alg"]),
        json!(null),
        json!({}),
        json!(["absent"]),
    ] {
        let mut header = with(header(), json!({ "exp": 1 }));
        header["crit"] = crit.clone();
        assert_eq!(
            Gateway::new().refuses_header(&header),
            Some(Reason::CriticalExtension),
            "{crit}"
        );
    }
}

#[test]
fn j9_an_unencoded_payload_is_refused() {
    for b64 in [json!(false), json!(null), json!("false"), json!(0)] {
        let mut header = header();
        header["b64"] = b64.clone();
        assert_eq!(Gateway::new().refuses_header(&header), Some(Reason::UnencodedPayload), "{b64}");
    }
    let header = with(header(), json!({ "b64": true }));
    assert_eq!(Gateway::new().refuses_header(&header), None);
}

#[test]
fn j10_a_nested_token_is_refused() {
    for cty in ["JWT", "jwt", "application/JWT"] {
        let header = with(header(), json!({ "cty": cty }));
        assert_eq!(Gateway::new().refuses_header(&header), Some(Reason::NestedToken), "{cty}");
    }
    let number = with(header(), json!({ "cty": 1 }));
    assert_eq!(Gateway::new().refuses_header(&number), Some(Reason::HeaderMember));
    let other = with(header(), json!({ "cty": "json" }));
    assert_eq!(Gateway::new().refuses_header(&other), None);
}

#[test]
fn j11_a_key_in_the_token_is_never_used() {
    let x = URL_SAFE_NO_PAD.encode(Key(9).pair().public_key());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "k1" });
    for member in [json!({ "jwk": jwk }), json!({ "jku": "https://evil/" }), json!({ "x5u": "x" })]
    {
        let header = with(header(), member);
        let forged = Key(9).sign(&header, &claims());
        assert_eq!(Gateway::new().refuses(&forged), Some(Reason::Signature));
        assert_eq!(Gateway::new().refuses_header(&header), None);
        let mut gateway = Gateway::new();
        gateway.providers[0].checks.reject_embedded_keys = true;
        assert_eq!(gateway.refuses_header(&header), Some(Reason::EmbeddedKey));
    }
}

#[test]
fn j12_a_kid_is_a_short_printable_string() {
    for kid in [json!(1), json!(["k1"]), json!("k".repeat(257)), json!("k\u{0}1"), json!("k\n1")] {
        let header = with(header(), json!({ "kid": kid }));
        assert_eq!(Gateway::new().refuses_header(&header), Some(Reason::KeyId), "{kid}");
    }
    for kid in ["k".repeat(256), "../../dev/null".into(), "' OR 1=1 --".into()] {
        let header = with(header(), json!({ "kid": kid }));
        assert_eq!(Gateway::new().refuses_header(&header), Some(Reason::UnknownKey), "{kid}");
    }
    let escaped = Key(1).sign_text(r#"{"alg":"Ed\u0044SA","kid":"\u006b1"}"#, claims().to_string());
    assert_eq!(Gateway::new().refuses(&escaped), None);
}

#[test]
fn j13_typ_is_one_of_the_configured_types() {
    let mut gateway = Gateway::new();
    gateway.providers[0].checks.types = vec!["at+jwt".into()];
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"] {
        assert_eq!(gateway.refuses_header(&with(header(), json!({ "typ": typ }))), None, "{typ}");
    }
    for typ in [json!(null), json!("JWT"), json!("at+jwt "), json!("application/")] {
        let header = with(header(), json!({ "typ": typ }));
        assert_eq!(gateway.refuses_header(&header), Some(Reason::TokenType), "{typ}");
    }
}

#[test]
fn j13_typ_is_a_string_whatever_is_configured() {
    for typ in [json!(1), json!(null), json!(["at+jwt"]), json!({}), json!(true)] {
        let mut header = header();
        header["typ"] = typ.clone();
        for types in [vec![], vec!["at+jwt".into()]] {
            let mut gateway = Gateway::new();
            gateway.providers[0].checks.types = types;
            assert_eq!(gateway.refuses_header(&header), Some(Reason::HeaderMember), "{typ}");
        }
    }
    assert_eq!(Gateway::new().refuses_header(&with(header(), json!({ "typ": "any" }))), None);
}

#[test]
fn j13_rfc9068_asks_for_its_type_and_claims() {
    let mut gateway = Gateway::new();
    gateway.providers[0].checks.rfc9068 = true;
    let full = with(claims(), json!({ "client_id": "c", "iat": NOW, "jti": "1" }));
    assert_eq!(gateway.refuses(&Key(1).sign(&header(), &full)), Some(Reason::TokenType));
    let header = with(header(), json!({ "typ": "at+jwt" }));
    assert_eq!(gateway.refuses(&Key(1).sign(&header, &full)), None);
    for name in ["sub", "client_id", "iat", "jti"] {
        let token = Key(1).sign(&header, &with(full.clone(), json!({ name: null })));
        assert_eq!(gateway.refuses(&token), Some(Reason::ClaimMissing), "{name}");
    }
    let token = Key(1).sign(&header, &with(full, json!({ "exp": null })));
    assert_eq!(gateway.refuses(&token), Some(Reason::ExpiryMissing));
}

#[test]
fn j14_unknown_members_are_ignored() {
    let header = with(header(), json!({ "zip": "DEF", "x": { "y": [1] } }));
    assert_eq!(Gateway::new().refuses_header(&header), None);
}

#[test]
fn k9_a_key_of_one_issuer_never_vouches_for_another() {
    let ours = provider("https://a/", vec![Key(1).public(Some("k1"))]);
    let theirs = provider("https://b/", vec![Key(2).public(Some("k1"))]);
    let mut gateway = Gateway::with_providers(vec![ours, theirs]);
    let token = |key: Key, iss: &str| key.sign(&header(), &with(claims(), json!({ "iss": iss })));
    assert_eq!(gateway.judge(&token(Key(1), "https://a/")).unwrap().provider.index(), 0);
    assert_eq!(gateway.judge(&token(Key(2), "https://b/")).unwrap().provider.index(), 1);
    assert_eq!(gateway.refuses(&token(Key(1), "https://b/")), Some(Reason::Signature));
    assert_eq!(gateway.refuses(&token(Key(2), "https://a/")), Some(Reason::Signature));
    // A route that does not list the provider does not know it.
    gateway.policy.providers.truncate(1);
    assert_eq!(gateway.refuses(&token(Key(2), "https://b/")), Some(Reason::Issuer));
}

#[test]
fn k10_a_token_without_kid_is_tried_with_a_few_keys() {
    let keys = |count: u8| (1..=count).map(|n| Key(n).public(Some(&format!("k{n}")))).collect();
    let token = |key: Key| key.sign(&json!({ "alg": "EdDSA" }), &claims());
    let mut gateway = Gateway::with_providers(vec![provider("https://issuer/", keys(4))]);
    assert_eq!(gateway.refuses(&token(Key(4))), None);
    assert_eq!(gateway.refuses(&token(Key(5))), Some(Reason::Signature));
    let mut gateway = Gateway::with_providers(vec![provider("https://issuer/", keys(5))]);
    assert_eq!(gateway.refuses(&token(Key(1))), Some(Reason::AmbiguousKey));
    gateway.providers[0].key_tries_max = 5;
    assert_eq!(gateway.refuses(&token(Key(5))), None);
    gateway.providers[0].key_tries_max = 1;
    assert_eq!(gateway.refuses(&token(Key(2))), Some(Reason::AmbiguousKey));
    let named = Key(2).sign(&with(header(), json!({ "kid": "k2" })), &claims());
    assert_eq!(gateway.refuses(&named), None);
    gateway.providers[0].checks.require_kid = true;
    assert_eq!(gateway.refuses(&token(Key(1))), Some(Reason::KeyIdMissing));
}

#[test]
fn k11_a_token_that_no_key_would_make_good_lacks_none() {
    let refuses = |members| {
        let claims = with(claims(), members);
        Gateway::new().refuses(&Key(2).sign(&with(header(), json!({ "kid": "k2" })), &claims))
    };
    assert_eq!(refuses(json!({})), Some(Reason::UnknownKey));
    assert_eq!(refuses(json!({ "exp": NOW })), Some(Reason::Expired));
    assert_eq!(refuses(json!({ "aud": "other" })), Some(Reason::Audience));
    // With a key, the signature counts first.
    let forged = Key(2).sign(&header(), &with(claims(), json!({ "exp": NOW })));
    assert_eq!(Gateway::new().refuses(&forged), Some(Reason::Signature));
}

#[test]
fn k11_an_unknown_kid_is_refused_and_not_remembered() {
    let mut gateway = Gateway::new();
    let header = with(header(), json!({ "kid": "k2" }));
    let token = Key(2).sign(&header, &claims());
    assert_eq!(gateway.refuses(&token), Some(Reason::UnknownKey));
    // Same generation: had the refusal been kept, it would answer again.
    gateway.providers[0].keys = Some(Arc::new(KeySet::new(vec![Key(2).public(Some("k2"))])));
    assert_eq!(gateway.refuses(&token), None);
}

#[test]
fn k12_a_key_without_kid_serves_only_tokens_without_one() {
    let mut gateway =
        Gateway::with_providers(vec![provider("https://issuer/", vec![Key(1).public(None)])]);
    assert_eq!(gateway.refuses_header(&header()), Some(Reason::UnknownKey));
    assert_eq!(gateway.refuses_header(&json!({ "alg": "EdDSA" })), None);
}

#[test]
fn k17_both_names_of_ed25519_are_accepted() {
    for alg in ["EdDSA", "Ed25519"] {
        assert_eq!(Gateway::new().refuses_header(&json!({ "alg": alg, "kid": "k1" })), None);
    }
}

#[test]
fn k19_a_removed_key_stops_at_once_also_for_cached_tokens() {
    let mut gateway = Gateway::new();
    let token = Key(1).sign(&header(), &claims());
    assert_eq!(gateway.refuses(&token), None);
    gateway.providers[0].keys = Some(Arc::new(KeySet::new(vec![Key(2).public(Some("k2"))])));
    gateway.generation = gateway.generation.next();
    assert_eq!(gateway.refuses(&token), Some(Reason::UnknownKey));
}

#[test]
fn no_keys_loaded_is_not_the_clients_fault() {
    let mut gateway = Gateway::new();
    gateway.providers[0].keys = None;
    let reason = gateway.refuses_header(&header());
    assert_eq!(reason, Some(Reason::NoKeys));
    assert_eq!(Reason::NoKeys.class(), Class::NoKeys);
    gateway.providers[0].keys = Gateway::new().providers[0].keys.clone();
    assert_eq!(gateway.refuses_header(&header()), None);
}

#[test]
fn a_changed_byte_anywhere_is_refused() {
    let good = Key(1).sign(&header(), &claims());
    for at in 0..good.len() {
        let mut bad = good.clone().into_bytes();
        bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
        let bad = String::from_utf8(bad).unwrap();
        assert!(Gateway::new().refuses(&bad).is_some(), "byte {at}");
    }
}
