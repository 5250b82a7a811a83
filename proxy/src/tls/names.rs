//! Which certificate a client is shown, by the name that it asks for.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::identity::Identity;

/// What a client is shown that asks for a name which no certificate has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownName {
    /// The first certificate.
    Default,
    /// An alert.
    Refuse,
}

/// Certificates of one name, in the order of preference: they may differ in the kind of their key.
type Candidates = Vec<Arc<CertifiedKey>>;

/// The certificates of a listener by the names in them.
#[derive(Debug)]
pub(super) struct Names {
    exact: HashMap<Box<str>, Candidates>,
    /// By what stands behind `*.`, which is one label.
    wildcard: HashMap<Box<str>, Candidates>,
    all: Candidates,
    unknown: UnknownName,
}

impl Names {
    pub(super) fn new(identities: &[Arc<Identity>], unknown: UnknownName) -> Self {
        let all = identities.iter().map(|one| Arc::clone(&one.certified)).collect();
        let (mut exact, mut wildcard) = (HashMap::new(), HashMap::new());
        for identity in identities {
            for host in identity.certificate().hosts() {
                let (map, name): (&mut HashMap<Box<str>, Candidates>, _) =
                    match host.strip_prefix("*.") {
                        Some(parent) => (&mut wildcard, parent),
                        None => (&mut exact, host),
                    };
                map.entry(name.into()).or_default().push(Arc::clone(&identity.certified));
            }
        }
        Self { exact, wildcard, all, unknown }
    }

    /// The certificates for a name, which is in lower case; none is the client that names none.
    fn candidates(&self, name: Option<&str>) -> &[Arc<CertifiedKey>] {
        let Some(name) = name else { return &self.all };
        let parent = || name.split_once('.').and_then(|(_, parent)| self.wildcard.get(parent));
        match (self.exact.get(name).or_else(parent), self.unknown) {
            (Some(found), _) => found,
            (None, UnknownName::Default) => &self.all,
            (None, UnknownName::Refuse) => &[],
        }
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // The library gives it in lower case.
        let candidates = self.candidates(hello.server_name());
        let suits =
            |one: &&Arc<CertifiedKey>| one.key.choose_scheme(hello.signature_schemes()).is_some();
        // Of one that takes none the library says better what is wrong: nothing in common.
        candidates.iter().find(suits).or(candidates.first()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(names: &[&str]) -> Arc<Identity> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        Arc::new(Identity::read(chain.as_bytes(), key.as_bytes(), None).unwrap())
    }

    #[test]
    fn the_nearest_name_wins_and_a_wildcard_is_one_label() {
        let identities = [
            identity(&["default.example"]),
            identity(&["*.a.example"]),
            identity(&["x.a.example"]),
        ];
        let found = |unknown, name: Option<&str>| {
            let names = Names::new(&identities, unknown);
            let first = names.candidates(name).first()?;
            identities.iter().position(|one| one.certified.cert == first.cert)
        };
        for unknown in [UnknownName::Default, UnknownName::Refuse] {
            assert_eq!(found(unknown, None), Some(0));
            assert_eq!(found(unknown, Some("default.example")), Some(0));
            assert_eq!(found(unknown, Some("x.a.example")), Some(2));
            assert_eq!(found(unknown, Some("y.a.example")), Some(1));
        }
        for name in ["a.example", "z.y.a.example", "other"] {
            assert_eq!(found(UnknownName::Default, Some(name)), Some(0), "{name}");
            assert_eq!(found(UnknownName::Refuse, Some(name)), None, "{name}");
        }
    }
}
