//! TLS at the beginning of a connection, before anything of it is understood.
//!
//! ```text
//!           first byte                      hello                        finished
//! waiting ------------> no TLS: refused      |                              |
//!    |                  TLS ------------> its turn -> advance -> send --+-> secure
//!    |                                        ^                         |
//!    +-- timeout, drain: closed               +------ more received ----+
//! ```
//!
//! Until the first byte, and between two flights, a connection has no buffer. The computation of a
//! flight waits for its turn ([`Pacing`](super::pacing)): a flood of handshakes leaves each turn of
//! the event loop to others but for what one costs.

use std::io;
use std::rc::Rc;

use rustls::Error;
use rustls::pki_types::CertificateDer;

use super::connection::ConnectionState;
use super::core::{Core, Live};
use super::listener::ListenerState;
use super::pacing::Standing;
use super::reason::Gate;
use super::tls_counters::TlsFailure;
use crate::snapshot::ids::ListenerId;
use crate::snapshot::tls::TlsService;
use crate::tls::{ClientCertificate, First, Session, first};
use crate::uring::{Buffer, TooLarge};

/// Why there is no session.
pub(super) enum NoSession {
    /// The client left before it said anything.
    Ended,
    /// It is refused.
    Refused(Gate),
}

/// One of the handshakes that may go on at once.
struct Place {
    core: Rc<Core>,
    listener: Rc<ListenerState>,
}

impl Place {
    fn take(core: &Rc<Core>, listener: &Rc<ListenerState>, most: usize) -> Option<Self> {
        if listener.handshakes.get() >= most {
            return None;
        }
        listener.handshakes.set(listener.handshakes.get() + 1);
        core.count(core.cells.tls.in_progress);
        Some(Self { core: Rc::clone(core), listener: Rc::clone(listener) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.listener.handshakes.set(self.listener.handshakes.get() - 1);
        self.core.counters.decrement(self.core.cells.tls.in_progress);
    }
}

/// Makes the connection a secure one. `received` has come already, behind a header of the PROXY
/// protocol.
pub(super) async fn handshake(
    core: &Rc<Core>,
    live: &Live,
    connection: &ConnectionState,
    (listener, service): (ListenerId, &TlsService),
    received: Option<Buffer>,
) -> Result<(), NoSession> {
    let most = service.bounds.handshakes_per_worker;
    let fail = |failure| failed(core, failure);
    let Some(_place) = Place::take(core, &connection.listener, most) else {
        return Err(fail(TlsFailure::TooMany));
    };
    let stream = &connection.stream;
    stream.arm(service.bounds.handshake);
    let hello = match received.filter(|received| !received.is_empty()) {
        Some(received) => received,
        None => first_bytes(core, connection).await?,
    };
    match first(hello.filled()) {
        First::Handshake => {}
        First::Http => return Err(fail(TlsFailure::PlainText)),
        First::Other => return Err(fail(TlsFailure::Malformed)),
    }
    let Some(config) = live.tls_config(listener) else { return Err(fail(TlsFailure::Other)) };
    let session = Session::accept(config).map_err(|error| fail((&error).into()))?;
    stream.secure(session, &core.records, Some(hello));
    loop {
        let turn = core.handshakes.turn(Standing::Clean).await;
        let advanced = {
            let _computing = core.handshakes.begin(Some(&turn));
            stream.advance_handshake()
        };
        drop(turn);
        let step = stream.follow_up(advanced).await;
        match step {
            Ok(true) => break,
            Ok(false) => {}
            Err(error) => return Err(fail(failure(&error, stream.expired()))),
        }
    }
    stream.disarm();
    if let Some(shown) = shown(connection) {
        // The library believes it, and nobody could tell an upstream whose it is.
        let told = ClientCertificate::of(&shown);
        connection.set_certificate(told.ok_or_else(|| fail(TlsFailure::ClientCertificate))?);
    }
    if let Some(agreement) = stream.session().and_then(|session| session.agreement())
        && let Some(cell) = core.cells.tls.handshake(&agreement)
    {
        core.count(cell);
    }
    Ok(())
}

/// The certificate that the client has shown, if any.
fn shown(connection: &ConnectionState) -> Option<CertificateDer<'static>> {
    let session = connection.stream.session()?;
    session.peer_certificates()?.first().cloned()
}

/// Waits for what the client says first, without a buffer until there is something.
async fn first_bytes(core: &Core, connection: &ConnectionState) -> Result<Buffer, NoSession> {
    let stream = &connection.stream;
    loop {
        connection.set_idle(true);
        let readable = stream.readable().await;
        connection.set_idle(false);
        match readable {
            Ok(()) => break,
            Err(_) if stream.expired() => return Err(failed(core, TlsFailure::Timeout)),
            Err(error) if stream.is_bystander(&error) && !connection.is_unwanted(core) => {}
            Err(_) => return Err(NoSession::Ended),
        }
    }
    match stream.recv(core.records.take()).await {
        (Ok(received), buffer) if received > 0 => Ok(buffer),
        _ => Err(NoSession::Ended),
    }
}

/// Why an operation of the handshake failed.
fn failure(error: &io::Error, expired: bool) -> TlsFailure {
    let inner = error.get_ref();
    match inner.and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => error.into(),
        None if inner.and_then(|inner| inner.downcast_ref::<TooLarge>()).is_some() => {
            TlsFailure::TooLarge
        }
        None if expired => TlsFailure::Timeout,
        None => TlsFailure::Left,
    }
}

/// Counts a failure, and says what it is to the rest of the gateway.
fn failed(core: &Core, failure: TlsFailure) -> NoSession {
    core.count(core.cells.tls.failure(failure));
    NoSession::Refused(match failure {
        TlsFailure::Timeout => Gate::TlsTimeout,
        TlsFailure::TooMany => Gate::TooManyHandshakes,
        TlsFailure::PlainText => Gate::PlainTextOnTls,
        TlsFailure::Left
        | TlsFailure::Malformed
        | TlsFailure::TooLarge
        | TlsFailure::Version
        | TlsFailure::Suite
        | TlsFailure::NoCertificate
        | TlsFailure::Protocol
        | TlsFailure::ClientCertificate
        | TlsFailure::Alert
        | TlsFailure::Decrypt
        | TlsFailure::Misbehaved
        | TlsFailure::Other => Gate::TlsFailed,
    })
}
