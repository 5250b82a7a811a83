//! What listeners and upstreams with TLS do, made of their files and rules.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::{CertificateError, Prepared, TlsListener, TlsUpstream};
use crate::control::config::share;
use crate::snapshot::tls::{TlsBounds, TlsService, UpstreamTls};
use crate::tls::{ClientRules, ServerRules, TicketKeys, client, server};

/// What the listeners and upstreams with TLS do.
#[derive(Debug, Clone, Default)]
pub struct TlsServices {
    /// The listeners, by their configured address.
    pub listeners: HashMap<SocketAddr, Arc<TlsService>>,
    /// The upstreams, by their name.
    pub upstreams: HashMap<Box<str>, Arc<UpstreamTls>>,
}

impl TlsServices {
    /// Makes it all of what was read.
    pub(super) fn make(
        of: &Prepared,
        tickets: &TicketKeys,
        workers: usize,
    ) -> Result<Self, CertificateError> {
        let mut this = Self::default();
        for one in &of.listeners {
            let service = Arc::new(listener(one, of, tickets, workers)?);
            this.listeners.insert(one.address, service);
        }
        for one in &of.upstreams {
            this.upstreams.insert(one.name.clone(), Arc::new(upstream(one, of)?));
        }
        Ok(this)
    }
}

fn listener(
    listener: &TlsListener,
    of: &Prepared,
    tickets: &TicketKeys,
    workers: usize,
) -> Result<TlsService, CertificateError> {
    let TlsListener { name, address, is_http, tls } = listener;
    let shown = tls.certificates.iter().map(|files| of.identities.get(files));
    let identities: Vec<_> = shown.map(Arc::clone).collect();
    let rules = ServerRules {
        listener: &address.to_string(),
        identities: &identities,
        unknown_name: tls.unknown_name,
        profile: tls.profile,
        trust: listener.trust().map(|files| &**of.trusted.get(files)),
        is_http: *is_http,
        tickets,
    };
    let (config, context) = server(&rules).map_err(|source| CertificateError::Refused {
        owner: format!("listener {name}"),
        source,
    })?;
    let bounds = TlsBounds {
        handshake: tls.handshake,
        handshakes_per_worker: share(tls.handshakes, workers),
    };
    let fields = tls.clients.as_ref().map(|clients| clients.fields.clone());
    let certificate_fields = fields.unwrap_or_default();
    Ok(TlsService { config, context, bounds, certificate_fields })
}

fn upstream(upstream: &TlsUpstream, of: &Prepared) -> Result<UpstreamTls, CertificateError> {
    let TlsUpstream { name, tls } = upstream;
    let rules = ClientRules {
        authorities: tls.authorities.as_ref().map(|file| &**of.authorities.get(file)),
        identity: tls.identity.as_ref().map(|files| &**of.identities.get(files)),
        profile: tls.profile,
        protocols: &tls.protocols,
    };
    let (config, context) = client(&rules).map_err(|source| CertificateError::Refused {
        owner: format!("upstream {name}"),
        source,
    })?;
    Ok(UpstreamTls { config, context })
}
