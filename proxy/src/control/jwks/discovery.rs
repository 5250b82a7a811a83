//! From an issuer to its key set: `jwks_uri` of its metadata (OpenID Connect Discovery 1.0, RFC 8414).

use std::time::Instant;

use serde::Deserialize;
use ureq::http::Uri;

use super::fetch::{FetchError, Fetched, Validators, document, keys};
use super::transport::Transport;

#[cfg(test)]
mod tests;

/// Why an issuer's metadata does not lead to its keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// No JSON object with both members as strings, once each.
    #[error("the issuer's metadata is no JSON object with issuer and jwks_uri")]
    Misshapen,
    /// RFC 8414 section 3.3: it must not be used then.
    #[error("the metadata is of another issuer than the configured one")]
    OtherIssuer,
    /// Where the keys must not come from.
    #[error("the metadata's jwks_uri is no https URL")]
    JwksUri,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

/// Fetches the metadata, then the keys, both within the patience for one fetch.
///
/// # Errors
/// When one of them did not bring what is needed.
pub fn from_issuer(
    transport: &Transport,
    issuer: &str,
    known: &Validators,
) -> Result<Fetched, FetchError> {
    let deadline = Instant::now() + transport.patience.total;
    let mut urls = metadata_urls(issuer).into_iter();
    let first = document(transport, &urls.next().unwrap_or_default(), deadline);
    let text = match (first, urls.next()) {
        // An authorization server that is no OpenID provider has only the other document.
        (Err(FetchError::Status { .. }), Some(second)) => document(transport, &second, deadline)?,
        (outcome, _) => outcome?,
    };
    let jwks_uri = jwks_uri(&text, issuer, transport.allow_http).map_err(FetchError::Metadata)?;
    let fetched = if same_authority(&jwks_uri, issuer) {
        keys(transport, &jwks_uri, &known.of(&jwks_uri), deadline)?
    } else {
        // The configured fields may be credentials for the issuer, and this is another host.
        keys(&transport.elsewhere(), &jwks_uri, &known.of(&jwks_uri), deadline)?
    };
    Ok(match fetched {
        Fetched::Text { body, validators, life } => {
            Fetched::Text { body, validators: validators.for_url(&jwks_uri), life }
        }
        Fetched::NotModified { life } => Fetched::NotModified { life },
    })
}

/// Where the metadata may be: OpenID appends to the issuer's path, RFC 8414 inserts before it.
fn metadata_urls(issuer: &str) -> Vec<String> {
    let bare = issuer.trim_end_matches('/');
    let mut urls = vec![format!("{bare}/.well-known/openid-configuration")];
    if let Some((scheme, rest)) = bare.split_once("://") {
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let name = ".well-known/oauth-authorization-server";
        urls.push(format!("{scheme}://{authority}/{name}{path}"));
    }
    urls
}

fn jwks_uri(text: &[u8], issuer: &str, allow_http: bool) -> Result<String, MetadataError> {
    let Metadata { issuer: named, jwks_uri } =
        serde_json::from_slice(text).map_err(|_| MetadataError::Misshapen)?;
    if named != issuer {
        return Err(MetadataError::OtherIssuer);
    }
    let url: Uri = jwks_uri.parse().map_err(|_| MetadataError::JwksUri)?;
    let scheme = match url.scheme_str() {
        Some("https") => true,
        Some("http") => allow_http,
        _ => false,
    };
    let plain = url.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if scheme && plain { Ok(jwks_uri) } else { Err(MetadataError::JwksUri) }
}

fn same_authority(one: &str, other: &str) -> bool {
    let authority = |url: &str| url.parse::<Uri>().ok().and_then(|url| url.authority().cloned());
    authority(one).is_some_and(|of_one| Some(of_one) == authority(other))
}
