//! `listeners[].tls`: certificates that can be used, and bounds.

use std::collections::HashSet;
use std::time::Duration;

use super::limits::{SHORTEST, share};
use super::providers::wrong_header_name;
use super::{JsonPath, Reader};
use crate::control::certificates;
use crate::control::config::KeyFiles;
use crate::control::config::quantity::Span;
use crate::control::config::raw::tls as raw;
use crate::control::config::settings::{
    CertificateFiles, ClientTrust, TlsConfig, TrustFiles, Workers,
};
use crate::control::jwks::secrets::loose_mode;
use crate::snapshot::tls::CertificateFields;
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
        profile: profile(raw.profile),
        clients: raw
            .client_certificates
            .as_ref()
            .map(|raw| clients(reader, raw, &path.join("client_certificates"))),
        handshake: raw.handshake_timeout.0,
        handshakes: raw.handshakes,
    }
}

pub(super) fn profile(raw: raw::Profile) -> Profile {
    match raw {
        raw::Profile::Intermediate => Profile::Intermediate,
        raw::Profile::Modern => Profile::Modern,
    }
}

fn clients(reader: &mut Reader<'_>, raw: &raw::ClientCertificates, path: &JsonPath) -> ClientTrust {
    let files = TrustFiles {
        authorities: reader.resolve(&raw.ca_file),
        revoked: raw.crl_files.iter().map(|file| reader.resolve(file)).collect(),
        is_required: matches!(raw.mode, raw::ClientCertificateMode::Required),
    };
    if let Err(error) = certificates::read_trust(&files) {
        match reader.key_files {
            KeyFiles::Needed => reader.problem(path, error),
            KeyFiles::Replaceable => {
                reader.warning(path, format!("{error}; the listener goes on with what it has"));
            }
        }
    }
    let mut seen: Vec<Box<str>> = Vec::new();
    let mut field = |key: &'static str, typed: &Option<String>| {
        let typed = typed.as_ref()?;
        let name = typed.to_ascii_lowercase();
        let path = path.join("headers").join(key);
        if let Some(what) = wrong_header_name(&name) {
            reader.problem(&path, what);
        } else if seen.iter().any(|other| **other == name) {
            reader.problem(&path, format!("{name:?} stands here twice; allowed: once"));
        }
        let name: Box<str> = name.into();
        seen.push(name.clone());
        Some(name)
    };
    let fields = CertificateFields {
        subject: field("subject", &raw.headers.subject),
        names: field("names", &raw.headers.names),
        thumbprint: field("thumbprint", &raw.headers.thumbprint),
    };
    ClientTrust { files, fields }
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
    check_identity(reader, &files, path, ("certificate", "key"), "listener");
    files
}

/// Notes what is wrong with files of a certificate, or will soon be; `keys` are those of `path` that
/// name the certificate and its key.
pub(super) fn check_identity(
    reader: &mut Reader<'_>,
    files: &CertificateFiles,
    path: &JsonPath,
    keys: (&'static str, &'static str),
    owner: &str,
) {
    match certificates::read(files) {
        Ok(identity) => {
            if let Some(what) = certificates::time_left(&identity).warning() {
                let shown = files.chain.display();
                reader.warning(&path.join(keys.0), format!("{shown} {what}"));
            }
        }
        Err(error) => match reader.key_files {
            KeyFiles::Needed => reader.problem(path, error),
            KeyFiles::Replaceable => {
                let what = format!("{error}; the {owner} keeps the certificate that it has");
                reader.warning(path, what);
            }
        },
    }
    let mode = std::fs::metadata(&files.key).ok().and_then(|metadata| loose_mode(&metadata));
    if let Some(mode) = mode {
        let shown = files.key.display();
        let what = format!("{shown} has mode {mode:04o}; 0600 keeps it from others");
        reader.warning(&path.join(keys.1), what);
    }
}
