//! A verification key as a JWK has it (RFC 7517), and its thumbprint (RFC 7638).

use crate::crypto::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::snapshot::key_set::{Numbers, PublicKey};

/// The members that make the key what it is, sorted by name, as RFC 7638 section 3.2 lists them.
#[must_use]
pub fn members(key: &PublicKey) -> Vec<(&'static str, String)> {
    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match key.numbers() {
        Numbers::Rsa { modulus, exponent } => {
            vec![("e", number(exponent)), ("kty", "RSA".into()), ("n", number(modulus))]
        }
        Numbers::Ec { curve, x, y } => {
            vec![("crv", curve.into()), ("kty", "EC".into()), ("x", number(x)), ("y", number(y))]
        }
        Numbers::Okp { curve, x } => {
            vec![("crv", curve.into()), ("kty", "OKP".into()), ("x", number(x))]
        }
    }
}

/// The SHA-256 thumbprint in base64url.
#[must_use]
pub fn thumbprint(key: &PublicKey) -> String {
    // No value needs escaping.
    let members = members(key);
    let pairs: Vec<_> =
        members.iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
    let text = format!("{{{}}}", pairs.join(","));
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::jwks::parse::parse_set;

    fn first(jwk: &str) -> PublicKey {
        let set = parse_set(format!("{{\"keys\":[{jwk}]}}").as_bytes()).unwrap();
        set.keys.iter().next().unwrap().public().unwrap().clone()
    }

    #[test]
    fn thumbprints_are_those_of_the_rfcs() {
        let rfc7638 = r#"{"kty":"RSA","alg":"RS256","kid":"2011-04-29","e":"AQAB","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}"#;
        assert_eq!(thumbprint(&first(rfc7638)), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        let rfc8037 =
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        assert_eq!(thumbprint(&first(rfc8037)), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn members_are_those_that_were_read() {
        // RFC 7515 appendix A.3.
        let (x, y) = (
            "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        );
        let key = first(&format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#));
        let expected = [("crv", "P-256"), ("kty", "EC"), ("x", x), ("y", y)];
        assert_eq!(members(&key), expected.map(|(name, value)| (name, value.to_owned())));
    }
}
