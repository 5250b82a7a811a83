//! Where a key set is fetched from.

use std::path::{Path, PathBuf};

use crate::snapshot::key_set::AlgorithmSet;

/// Where a key set is fetched from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Location {
    /// A local file.
    File(PathBuf),
    /// A local file of secrets.
    Secrets {
        /// The file.
        path: PathBuf,
        /// What they are used with.
        algorithms: AlgorithmSet,
    },
    /// An HTTP server; plain `http` only where the configuration allows it, which it has checked. Or
    /// one on a Unix socket, as `unix:SOCKET:PATH`.
    Url(Box<str>),
    /// The key set that an issuer's metadata names; the issuer is a URL.
    Issuer(Box<str>),
}

impl Location {
    /// The file, where it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::Secrets { path, .. } => Some(path),
            Self::Url(_) | Self::Issuer(_) => None,
        }
    }

    /// For people: without user information or query, which may be credentials.
    #[must_use]
    pub fn redacted(&self) -> String {
        match self {
            Self::File(path) | Self::Secrets { path, .. } => path.display().to_string(),
            Self::Url(url) | Self::Issuer(url) => {
                let bare = url.split(['?', '#']).next().unwrap_or_default();
                let Some((scheme, rest)) = bare.split_once("://") else { return bare.to_owned() };
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let host = authority.rsplit('@').next().unwrap_or_default();
                format!("{scheme}://{host}{path}")
            }
        }
    }
}

/// The socket and the path of `unix:SOCKET:PATH`; none for other URLs.
#[must_use]
pub fn unix(url: &str) -> Option<(&Path, &str)> {
    let (socket, path) = url.strip_prefix("unix:")?.split_once(':')?;
    Some((Path::new(socket), path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_credential_is_not_shown() {
        let url = |url: &str| Location::Url(url.into()).redacted();
        assert_eq!(url("https://me:pass@host:8443/a/b?key=1#x"), "https://host:8443/a/b");
        assert_eq!(url("https://host/a@b"), "https://host/a@b");
        assert_eq!(url("http://host"), "http://host");
        assert_eq!(url("unix:/run/a.sock:/b?key=1"), "unix:/run/a.sock:/b");
        assert_eq!(Location::File("/etc/keys.json".into()).redacted(), "/etc/keys.json");
    }
}
