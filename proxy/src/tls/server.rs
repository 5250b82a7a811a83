//! What a listener agrees to: versions, suites, certificates, tickets.
//!
//! The profiles are those of Mozilla's guidelines, version 5.7, as far as the library has their
//! suites: it has no DHE.

use std::sync::Arc;

use crate::crypto::digest::{Context, SHA256};
use crate::crypto::tls::cipher_suite::{
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use crate::crypto::tls::default_provider;
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};
use rustls::{Error, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};

use super::digest::finished;
use super::identity::Identity;
use super::names::{Names, UnknownName};
use super::tickets::{TicketKeys, Tickets};
use super::trust::Trust;

/// Every suite that is agreed to, TLS 1.3 first; each has a place of its own in the metrics.
pub static SUITES: [SupportedCipherSuite; 9] = [
    TLS13_AES_128_GCM_SHA256,
    TLS13_AES_256_GCM_SHA384,
    TLS13_CHACHA20_POLY1305_SHA256,
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// The one application protocol that is spoken (RFC 7301).
const HTTP_1_1: &[u8] = b"http/1.1";

static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// What peers a listener or an upstream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// TLS 1.2 and 1.3: every peer that is maintained.
    Intermediate,
    /// TLS 1.3 alone.
    Modern,
}

impl Profile {
    pub(super) fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Intermediate => &BOTH,
            Self::Modern => &BOTH[..1],
        }
    }
}

/// What a listener's sessions are made by.
#[derive(Debug)]
pub struct ServerRules<'a> {
    /// Which listener it is: no other takes its tickets.
    pub listener: &'a str,
    /// At least one; the first is the default.
    pub identities: &'a [Arc<Identity>],
    /// Without a certificate of the name that is asked for.
    pub unknown_name: UnknownName,
    /// Which versions.
    pub profile: Profile,
    /// Whose certificates clients may show; none: they are not asked for any.
    pub trust: Option<&'a Trust>,
    /// Whether it speaks HTTP: else no application protocol is agreed on.
    pub is_http: bool,
    /// By which sessions are resumed.
    pub tickets: &'a TicketKeys,
}

/// The library's form of these rules, and what must be the same where a session is resumed.
///
/// Each worker gives its own copy a place for the sessions of clients that take no tickets.
///
/// # Errors
/// When the library does not agree.
pub fn server(rules: &ServerRules<'_>) -> Result<(ServerConfig, [u8; 32]), Error> {
    let context = context(rules);
    let provider = CryptoProvider { cipher_suites: SUITES.to_vec(), ..default_provider() };
    let names = Names::new(rules.identities, rules.unknown_name);
    let builder = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(rules.profile.versions())?;
    let builder = match rules.trust {
        None => builder.with_no_client_auth(),
        Some(trust) => builder.with_client_cert_verifier(Arc::clone(&trust.verifier)),
    };
    let mut config = builder.with_cert_resolver(Arc::new(names));
    if rules.is_http {
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    }
    config.ticketer = Arc::new(Tickets { keys: rules.tickets.clone(), context });
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // Clients with slow AES would rather have another; those are few by now, and scanners complain
    // where the order is theirs.
    config.ignore_client_order = true;
    config.max_early_data_size = 0;
    Ok((config, context))
}

/// A session is resumed only where it could have been begun: not across listeners, and not where
/// another certificate of the client's might be asked for, or this one might be revoked by now.
fn context(rules: &ServerRules<'_>) -> [u8; 32] {
    let mut hash = Context::new(&SHA256);
    hash.update(rules.listener.as_bytes());
    if let Some(trust) = rules.trust {
        hash.update(b" trusts ");
        hash.update(&trust.digest);
    }
    finished(hash)
}
