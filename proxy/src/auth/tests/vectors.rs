//! K20: tokens that others have signed, and attacks with other people's keys.

use super::*;

/// RFC 7515 appendix A.2: header, key and token.
const RS256_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
const RS256: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
/// RFC 7515 appendix A.3.
const ES256: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
/// RFC 8037 appendix A.4.
const EDDSA: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn rsa_key() -> VerificationKey {
    let public = PublicKey::rsa(&decode(RS256_N), &decode("AQAB")).unwrap();
    VerificationKey::new(None, public, None).unwrap()
}

fn ec_key() -> VerificationKey {
    let x = decode("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
    let y = decode("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    VerificationKey::new(None, PublicKey::p256(&x, &y).unwrap(), None).unwrap()
}

fn joe(key: VerificationKey) -> Gateway {
    let mut gateway = Gateway::with_providers(vec![provider("joe", vec![key])]);
    gateway.providers[0].audiences = Audiences::Any;
    gateway.now = 1_300_819_379;
    gateway
}

#[test]
fn k20_rfc7515_appendix_a2_rs256() {
    let mut gateway = joe(rsa_key());
    assert_eq!(gateway.refuses(RS256), None);
    gateway.now += 1;
    assert_eq!(gateway.refuses(RS256), Some(Reason::Expired));
    assert_eq!(joe(ec_key()).refuses(RS256), Some(Reason::UnknownKey));
}

#[test]
fn k20_rfc7515_appendix_a3_es256() {
    let mut gateway = joe(ec_key());
    assert_eq!(gateway.refuses(ES256), None);
    let stripped = &ES256[..ES256.len() - 2];
    assert!(gateway.refuses(stripped).is_some());
}

/// Appendices A.4 to A.7: an algorithm that is not supported, no signature, and JSON serialisations.
#[test]
fn k20_rfc7515_appendices_a4_to_a7_are_refused() {
    let es512 = "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";
    assert_eq!(joe(ec_key()).refuses(es512), Some(Reason::Algorithm));
    let payload = ES256.split('.').nth(1).unwrap();
    let unsecured = format!("eyJhbGciOiJub25lIn0.{payload}.");
    assert_eq!(joe(ec_key()).refuses(&unsecured), Some(Reason::TokenSegments));
    let signed_none = format!("{unsecured}AA");
    assert_eq!(joe(ec_key()).refuses(&signed_none), Some(Reason::Algorithm));
    let signature = ES256.rsplit('.').next().unwrap();
    let protected = json!({
        "protected": "eyJhbGciOiJFUzI1NiJ9", "header": { "kid": "e9bc097a-ce51-4036-9562-d2ade882db0d" },
        "signature": signature,
    });
    let general = json!({ "payload": payload, "signatures": [protected] });
    let flattened = with(protected, json!({ "payload": payload }));
    for text in [general.to_string(), flattened.to_string()] {
        let bare = text.replace(',', ";");
        assert_eq!(joe(ec_key()).refuses(&bare), Some(Reason::TokenCharacters));
    }
}

#[test]
fn k20_rfc8037_appendix_a4_eddsa() {
    let x = decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    let key = VerificationKey::new(None, PublicKey::ed25519(&x).unwrap(), None).unwrap();
    let provider = provider("any", vec![key]);
    assert!(explain_signature(EDDSA.as_bytes(), &provider).verdict.is_ok());
    let changed = EDDSA.replacen("RXhh", "RXhi", 1);
    let explained = explain_signature(changed.as_bytes(), &provider);
    assert_eq!(explained.verdict.unwrap_err().reason, Reason::Signature);
    // Its payload is text: no claims set, so no token.
    let mut gateway = Gateway::with_providers(vec![provider]);
    assert_eq!(gateway.refuses(EDDSA), Some(Reason::ClaimsJson));
}

#[test]
fn k1_a_public_key_is_never_an_hmac_secret() {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#),
        RS256.split('.').nth(1).unwrap()
    );
    let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &decode(RS256_N));
    let tag = ring::hmac::sign(&secret, signed.as_bytes());
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
    assert_eq!(joe(rsa_key()).refuses(&token), Some(Reason::AlgorithmNotAllowed));
}

#[test]
fn k4_a_key_for_one_algorithm_refuses_the_others() {
    let public = PublicKey::rsa(&decode(RS256_N), &decode("AQAB")).unwrap();
    let only_pss = |kid: Option<&str>| {
        VerificationKey::new(kid.map(Into::into), public.clone(), Some(Algorithm::Ps256)).unwrap()
    };
    assert_eq!(joe(only_pss(None)).refuses(RS256), Some(Reason::UnknownKey));
    let mut parts = RS256.split('.');
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","kid":"k"}"#);
    let _old_header = parts.next();
    let token = format!("{header}.{}.{}", parts.next().unwrap(), parts.next().unwrap());
    assert_eq!(joe(only_pss(Some("k"))).refuses(&token), Some(Reason::KeyAlgorithm));
}

#[test]
fn k13_k15_misshapen_signatures_are_refused() {
    let with_signature = |token: &str, signature: &[u8]| {
        let signed = &token[..token.rfind('.').unwrap()];
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    };
    for signature in [vec![0; 64], vec![1; 96], vec![1; 132], vec![0x30, 6, 2, 1, 1, 2, 1, 1]] {
        let token = with_signature(ES256, &signature);
        assert_eq!(joe(ec_key()).refuses(&token), Some(Reason::Signature));
    }
    let good = decode(RS256.rsplit('.').next().unwrap());
    let longer = [&[0], &good[..]].concat();
    for signature in [vec![0; 256], vec![1; 256], good[..255].to_vec(), longer, vec![0xff; 256]] {
        let token = with_signature(RS256, &signature);
        assert_eq!(joe(rsa_key()).refuses(&token), Some(Reason::Signature));
    }
}

#[test]
fn k14_the_high_s_twin_of_an_ecdsa_signature_verifies() {
    let order = decode("_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE");
    let signature = decode(ES256.rsplit('.').next().unwrap());
    let (r, s) = signature.split_at(32);
    let mut borrow = 0;
    let mut twin = r.to_vec();
    let mut negated = vec![0; 32];
    for at in (0..32).rev() {
        let difference = i16::from(order[at]) - i16::from(s[at]) - borrow;
        negated[at] = difference.rem_euclid(256) as u8;
        borrow = i16::from(difference < 0);
    }
    twin.extend(negated);
    let signed = &ES256[..ES256.rfind('.').unwrap()];
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&twin));
    assert_ne!(token, ES256);
    assert_eq!(joe(ec_key()).refuses(&token), None);
}

#[test]
fn k15_rsa_padding_is_checked_to_the_last_byte() {
    let fixture: Value = serde_json::from_str(include_str!("rsa_padding.json")).unwrap();
    let n = decode(fixture["n"].as_str().unwrap());
    let gateway = || {
        let public = PublicKey::rsa(&n, &decode("AQAB")).unwrap();
        joe(VerificationKey::new(None, public, None).unwrap())
    };
    for (kind, expected) in [("good", None), ("bad", Some(Reason::Signature))] {
        for (name, token) in fixture[kind].as_object().unwrap() {
            assert_eq!(gateway().refuses(token.as_str().unwrap()), expected, "{name}");
        }
    }
}
