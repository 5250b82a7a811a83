//! `listeners[].tls`: certificates that can be used, and bounds.

use std::collections::HashSet;
use std::time::Duration;

use super::limits::{SHORTEST, share};
use super::{JsonPath, Reader};
use crate::control::certificates;
use crate::control::config::KeyFiles;
use crate::control::config::quantity::Span;
use crate::control::config::raw::tls as raw;
use crate::control::config::settings::{CertificateFiles, TlsConfig, Workers};
use crate::control::jwks::secrets::loose_mode;
use crate::tls::{Profile, UnknownName};

/// Handshakes that take longer would hold their place for an attacker.
const HANDSHAKE_MAX: Span = Span(Duration::from_secs(600));

/// TLS of the listener at `path`.
pub(super) fn tls(
    reader: &mut Reader<'_>,
    raw: &raw::Tls,
    path: &JsonPath,
    workers: Workers,
) -> TlsConfig {
    let limit = &path.join("handshake_timeout");
    reader.in_range(limit, &raw.handshake_timeout, &SHORTEST, &HANDSHAKE_MAX);
    share(reader, &path.join("handshakes"), Some(raw.handshakes), workers);
    let list = path.join("certificates");
    let mut seen = HashSet::new();
    let mut files = Vec::with_capacity(raw.certificates.len());
    for (index, raw) in raw.certificates.iter().enumerate() {
        let path = list.join(index);
        let one = certificate(reader, raw, &path);
        if !seen.insert(one.clone()) {
            reader.problem(&path, "stands in this list already; allowed: once");
        }
        files.push(one);
    }
    TlsConfig {
        certificates: files,
        unknown_name: match raw.unknown_name {
            raw::UnknownName::Default => UnknownName::Default,
            raw::UnknownName::Refuse => UnknownName::Refuse,
        },
        profile: match raw.profile {
            raw::Profile::Intermediate => Profile::Intermediate,
            raw::Profile::Modern => Profile::Modern,
        },
        handshake: raw.handshake_timeout.0,
        handshakes: raw.handshakes,
    }
}

fn certificate(
    reader: &mut Reader<'_>,
    raw: &raw::CertificateFiles,
    path: &JsonPath,
) -> CertificateFiles {
    let files = CertificateFiles {
        chain: reader.resolve(&raw.certificate),
        key: reader.resolve(&raw.key),
        ocsp: raw.ocsp.as_ref().map(|ocsp| reader.resolve(ocsp)),
    };
    match certificates::read(&files) {
        Ok(identity) => {
            if let Some(what) = certificates::time_left(&identity).warning() {
                let shown = files.chain.display();
                reader.warning(&path.join("certificate"), format!("{shown} {what}"));
            }
        }
        Err(error) => match reader.key_files {
            KeyFiles::Needed => reader.problem(path, error),
            KeyFiles::Replaceable => {
                let what = format!("{error}; the listener keeps the certificate that it has");
                reader.warning(path, what);
            }
        },
    }
    let mode = std::fs::metadata(&files.key).ok().and_then(|metadata| loose_mode(&metadata));
    if let Some(mode) = mode {
        let shown = files.key.display();
        let what = format!("{shown} has mode {mode:04o}; 0600 keeps it from others");
        reader.warning(&path.join("key"), what);
    }
    files
}
