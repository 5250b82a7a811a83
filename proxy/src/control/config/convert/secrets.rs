//! `jwks.secret_file`: secrets shared with an issuer, which never meet public keys in one provider.
//!
//! Were both believed for one issuer, its public key could be taken for a secret (RFC 8725 section
//! 2.1), which then only the kind of each key would prevent.

use super::key_sources::{read_bounded, unusable_file};
use super::{JsonPath, Reader};
use crate::control::config::raw::jwt::{Jwks, Places};
use crate::control::config::settings::JwksSource;
use crate::control::jwks::secrets::{loose_mode, parse_secrets};
use crate::snapshot::key_set::{Algorithm, AlgorithmSet};

/// Checks that a provider has secrets and HMACs, or neither; `path` is the provider's.
pub(super) fn check_kind(
    reader: &mut Reader<'_>,
    path: &JsonPath,
    places: &Places,
    algorithms: &[Algorithm],
) {
    let places: &[Jwks] = match places {
        Places::One(one) => std::slice::from_ref(one),
        Places::InOrder(list) => list,
    };
    let secret = places.iter().any(|place| place.secret_file.is_some());
    if secret && places.len() > 1 {
        let what = "has a secret_file and other places; allowed: secret_file as the only place";
        reader.problem(&path.join("jwks"), what);
    }
    let other_kind = algorithms.iter().filter(|one| one.secret_bytes_min().is_some() != secret);
    let other_kind: Vec<_> = other_kind.map(|algorithm| algorithm.name()).collect();
    if !other_kind.is_empty() {
        let names = other_kind.join(", ");
        let what = if secret {
            "for public keys; allowed with jwks.secret_file: HS256, HS384, HS512"
        } else {
            "for a secret; allowed: with jwks.secret_file"
        };
        reader.problem(&path.join("algorithms"), format!("{names}: {what}"));
    }
}

/// The file at `path`, read once; what is wrong with it is a problem.
pub(super) fn source(
    reader: &mut Reader<'_>,
    path: &JsonPath,
    file: &str,
    algorithms: &[Algorithm],
) -> JwksSource {
    let file = reader.resolve(file);
    let shown = file.display();
    let hmacs = algorithms.iter().copied().filter(|one| one.secret_bytes_min().is_some());
    let algorithms: AlgorithmSet = hmacs.collect();
    match read_bounded(&file) {
        Err(error) => unusable_file(reader, path, format!("{shown} cannot be read: {error}")),
        // That there is none has been told.
        Ok(_) if algorithms == AlgorithmSet::default() => {}
        Ok(text) => {
            if let Err(error) = parse_secrets(&text, algorithms) {
                unusable_file(reader, path, format!("{shown}: {error}"));
            }
        }
    }
    let mode = std::fs::metadata(&file).ok().and_then(|metadata| loose_mode(&metadata));
    if let Some(mode) = mode {
        let what = format!("{shown} has mode {mode:04o}; 0600 keeps it from others");
        reader.warning(path, what);
    }
    JwksSource::Secrets { path: file, algorithms }
}
