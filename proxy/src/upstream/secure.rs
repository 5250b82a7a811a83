//! TLS with an endpoint, from the connected socket to the end of the handshake.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;

use crate::snapshot::tls::UpstreamTls;
use crate::tls::Session;
use crate::uring::{RecordPools, Stream};

/// Sessions of one upstream that a worker keeps to resume, one for each name of an endpoint; TLS 1.3
/// has several tickets to each.
const SESSIONS_MAX: usize = 256;

/// How one worker speaks TLS with an upstream, and the sessions that it can resume: as long as the
/// rules are the same, over reloads.
#[derive(Debug, Clone)]
pub(super) struct Secured {
    context: [u8; 32],
    config: Arc<ClientConfig>,
}

impl Secured {
    pub(super) fn new(tls: &UpstreamTls) -> Self {
        let mut config = tls.config.clone();
        config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
        Self { context: tls.context, config: Arc::new(config) }
    }

    /// What its rules are, for comparison.
    pub(super) fn context(&self) -> [u8; 32] {
        self.context
    }

    /// Makes the connection a secure one with the server of this name, by the deadline that `stream`
    /// is armed with; says whether an earlier session was resumed.
    pub(super) async fn shake_hands(
        &self,
        stream: &Stream,
        name: &ServerName<'static>,
        records: &Rc<RecordPools>,
    ) -> io::Result<bool> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let session = Session::connect(Arc::clone(&self.config), name.clone()).map_err(invalid)?;
        stream.secure(session, records, None);
        while !stream.follow_up(stream.advance_handshake()).await? {}
        let agreement = stream.session().and_then(|session| session.agreement());
        Ok(agreement.is_some_and(|agreement| agreement.is_resumed))
    }
}
