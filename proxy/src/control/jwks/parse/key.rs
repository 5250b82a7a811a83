//! One JWK: what it says about itself (RFC 7517 section 4) and its numbers (RFC 7518 section 6, RFC 8037).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::IgnoreReason;
use crate::auth::is_valid_kid;
use crate::auth::json::{Object, Value};
use crate::snapshot::key_set::{Algorithm, PublicKey, VerificationKey};

/// Members of private keys (RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1; `priv` is RFC 9964's).
const PRIVATE_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// The key, or why it is not used.
pub(super) fn parse(value: Value<'_>) -> Result<VerificationKey, IgnoreReason> {
    let Value::Object(jwk) = value else { return Err(IgnoreReason::NotAnObject) };
    let key_type = text(jwk, "kty")?;
    if key_type == "oct" {
        return Err(IgnoreReason::Symmetric);
    }
    if let Some(member) = PRIVATE_MEMBERS.into_iter().find(|name| jwk.get(name).is_some()) {
        return Err(IgnoreReason::Private(member));
    }
    check_usage(jwk)?;
    let kid = match jwk.get("kid") {
        None => None,
        Some(_) => Some(valid_kid(value).ok_or(IgnoreReason::Member("kid"))?),
    };
    let public = match &*key_type {
        "RSA" => PublicKey::rsa(&bytes(jwk, "n")?, &bytes(jwk, "e")?)?,
        "EC" => match &*text(jwk, "crv")? {
            "P-256" => PublicKey::p256(&bytes(jwk, "x")?, &bytes(jwk, "y")?)?,
            "P-384" => PublicKey::p384(&bytes(jwk, "x")?, &bytes(jwk, "y")?)?,
            _ => return Err(IgnoreReason::Curve),
        },
        "OKP" => match &*text(jwk, "crv")? {
            "Ed25519" => PublicKey::ed25519(&bytes(jwk, "x")?)?,
            _ => return Err(IgnoreReason::Curve),
        },
        _ => return Err(IgnoreReason::KeyType),
    };
    let algorithm = match jwk.get("alg") {
        None => None,
        Some(_) => Some(Algorithm::from_name(&text(jwk, "alg")?).ok_or(IgnoreReason::Algorithm)?),
    };
    VerificationKey::new(kid, public, algorithm).ok_or(IgnoreReason::Algorithm)
}

/// The name of a key, if it is one that a token may use.
pub(super) fn valid_kid(value: Value<'_>) -> Option<Box<str>> {
    let Value::Object(jwk) = value else { return None };
    let kid = jwk.get("kid")?.as_text()?.to_cow();
    is_valid_kid(&kid).then(|| kid.into())
}

/// `use` and `key_ops`, each of which may be left out, must both be about signatures (RFC 7517
/// sections 4.2 and 4.3).
fn check_usage(jwk: Object<'_>) -> Result<(), IgnoreReason> {
    let for_signatures = match jwk.get("use") {
        None => None,
        Some(Value::String(usage)) if usage == *"sig" => Some(()),
        Some(_) => return Err(IgnoreReason::Usage("use")),
    };
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) => {
            let verifies =
                |operation: Value<'_>| operation.as_text().is_some_and(|text| text == *"verify");
            let signs =
                |operation: Value<'_>| operation.as_text().is_some_and(|text| text == *"sign");
            let any = operations.elements().any(verifies);
            let only = operations.elements().all(|one| verifies(one) || signs(one));
            if any && (only || for_signatures.is_none()) {
                Ok(())
            } else {
                Err(IgnoreReason::Usage("key_ops"))
            }
        }
        Some(_) => Err(IgnoreReason::Usage("key_ops")),
    }
}

fn text<'d>(
    jwk: Object<'d>,
    name: &'static str,
) -> Result<std::borrow::Cow<'d, str>, IgnoreReason> {
    let text = jwk.get(name).and_then(Value::as_text).ok_or(IgnoreReason::Member(name))?;
    Ok(text.to_cow())
}

fn bytes(jwk: Object<'_>, name: &'static str) -> Result<Vec<u8>, IgnoreReason> {
    URL_SAFE_NO_PAD.decode(text(jwk, name)?.as_bytes()).map_err(|_| IgnoreReason::Member(name))
}
