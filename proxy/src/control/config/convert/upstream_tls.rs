//! `upstreams.*.tls`: whom endpoints must prove to be, and what they are shown.

use rustls::pki_types::ServerName;

use super::tls::{check_identity, profile};
use super::{JsonPath, Reader};
use crate::control::certificates;
use crate::control::config::KeyFiles;
use crate::control::config::raw::tls as raw;
use crate::control::config::settings::{AuthorityFile, CertificateFiles, UpstreamTlsConfig};
use crate::control::system_roots;

/// Whom the endpoints of an upstream must prove to be.
#[derive(Debug, Clone)]
pub(super) enum Proof {
    /// Nobody: they are spoken to in plain text.
    Nobody,
    /// Each its own host.
    Host,
    /// All the same.
    Name(ServerName<'static>),
}

impl Proof {
    /// What the configuration asks for.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        raw: Option<&raw::UpstreamTls>,
        path: &JsonPath,
    ) -> Self {
        let Some(raw) = raw else { return Self::Nobody };
        let Some(text) = &raw.server_name else { return Self::Host };
        match server_name(text) {
            Some(name) => Self::Name(name),
            None => {
                let what = format!("{text:?} is no name; allowed: a host name or an address");
                reader.problem(&path.join("server_name"), what);
                Self::Host
            }
        }
    }

    /// The name of an endpoint with this host; none in plain text.
    pub(super) fn of_host(&self, host: &str) -> Result<Option<ServerName<'static>>, &'static str> {
        match self {
            Self::Nobody => Ok(None),
            Self::Host => {
                let name = server_name(host).ok_or("has a host that no certificate can be of")?;
                Ok(Some(name))
            }
            Self::Name(name) => Ok(Some(name.clone())),
        }
    }

    /// The name of an endpoint that has no host.
    pub(super) fn of_socket(&self) -> Result<Option<ServerName<'static>>, &'static str> {
        match self {
            Self::Nobody => Ok(None),
            Self::Host => Err("has no host that a certificate could be of, and tls no server_name"),
            Self::Name(name) => Ok(Some(name.clone())),
        }
    }
}

fn server_name(text: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(text.to_owned()).ok()
}

/// TLS of the upstream whose `tls` is at `path`.
pub(super) fn upstream_tls(
    reader: &mut Reader<'_>,
    raw: &raw::UpstreamTls,
    path: &JsonPath,
) -> UpstreamTlsConfig {
    UpstreamTlsConfig {
        authorities: authorities(reader, raw, path),
        identity: identity(reader, raw, path),
        profile: profile(raw.profile),
        protocols: protocols(reader, &raw.alpn, &path.join("alpn")),
    }
}

fn authorities(
    reader: &mut Reader<'_>,
    raw: &raw::UpstreamTls,
    path: &JsonPath,
) -> Option<AuthorityFile> {
    if raw.insecure {
        if raw.ca_file.is_some() {
            let what = "means nothing beside insecure, by which any certificate is believed";
            reader.problem(&path.join("ca_file"), what);
        }
        let what =
            "any certificate is believed: whoever is on the way can read and change everything";
        reader.warning(&path.join("insecure"), what);
        return None;
    }
    let (file, place) = match &raw.ca_file {
        Some(file) => {
            let path_of_file = reader.resolve(file);
            (AuthorityFile { path: path_of_file, is_systems: false }, path.join("ca_file"))
        }
        None => match system_roots::candidates().find(|path| path.is_file()) {
            Some(file) => (AuthorityFile { path: file, is_systems: true }, path.clone()),
            None => {
                let what = "the system has no authorities to believe; allowed: with ca_file";
                reader.problem(path, what);
                return None;
            }
        },
    };
    if let Err(error) = certificates::read_authorities(&file) {
        match reader.key_files {
            KeyFiles::Needed => reader.problem(&place, error),
            KeyFiles::Replaceable => {
                reader.warning(&place, format!("{error}; the upstream goes on with what it has"));
            }
        }
    }
    Some(file)
}

fn identity(
    reader: &mut Reader<'_>,
    raw: &raw::UpstreamTls,
    path: &JsonPath,
) -> Option<CertificateFiles> {
    let keys = ("client_certificate", "client_key");
    let (chain, key) = match (&raw.client_certificate, &raw.client_key) {
        (None, None) => return None,
        (Some(chain), Some(key)) => (chain, key),
        (Some(_), None) => {
            reader.problem(&path.join(keys.0), "has no key; allowed: with client_key");
            return None;
        }
        (None, Some(_)) => {
            let what = "is of no certificate; allowed: with client_certificate";
            reader.problem(&path.join(keys.1), what);
            return None;
        }
    };
    let (chain, key) = (reader.resolve(chain), reader.resolve(key));
    let files = CertificateFiles { chain, key, ocsp: None };
    check_identity(reader, &files, path, keys, "upstream");
    Some(files)
}

fn protocols(reader: &mut Reader<'_>, raw: &[String], list: &JsonPath) -> Vec<Box<str>> {
    for (index, name) in raw.iter().enumerate() {
        let path = list.join(index);
        if name == "h2" {
            reader.problem(&path, "HTTP/2 is not spoken with upstreams; allowed: \"http/1.1\"");
        } else if name.is_empty() || name.len() > 255 {
            // RFC 7301 section 3.1.
            reader.problem(&path, "a protocol's name has 1 to 255 bytes");
        } else if raw[..index].contains(name) {
            reader.problem(&path, format!("{name:?} stands here twice; allowed: once"));
        }
    }
    raw.iter().map(|name| name.as_str().into()).collect()
}
