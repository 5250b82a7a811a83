//! One request's hold on one connection to an endpoint.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::endpoint::Hold;
use super::{EndpointState, UpstreamState};
use crate::snapshot::upstream_set::Endpoint;
use crate::uring::wheel::Wheel;
use crate::uring::{Buffer, Peer, Recv, Stream, connect};

/// A connection and, while it is idle, the receive that watches it.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    watch: Option<Recv>,
}

impl Connection {
    /// Whether nothing has come on it: a byte or an end before any request makes it unusable.
    pub(super) fn is_silent(&mut self) -> bool {
        self.watch.as_mut().is_none_or(|watch| watch.completed().is_none())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The receive owns a reference to the descriptor: only its end closes the connection.
        if self.watch.is_some() {
            self.stream.cancel();
        }
    }
}

/// One request's hold on one connection. Dropped, it closes the connection.
#[derive(Debug)]
pub struct Lease {
    connection: Connection,
    hold: Hold,
    reused: bool,
    /// Whether another request may use it.
    reusable: bool,
}

/// Why a request has no connection to its upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// It has as many requests as it may.
    #[error("the upstream has as many requests as it may")]
    Full,
    /// It has none: no name of it has ever resolved.
    #[error("the upstream has no endpoint")]
    NoEndpoint,
    /// The last one tried refused or was unreachable.
    #[error("no endpoint accepts connections")]
    Refused,
    /// The last one tried did not answer in time.
    #[error("no endpoint accepts connections in time")]
    TimedOut,
}

/// Endpoints tried for one request at most: beyond that the answer is late anyway.
const ENDPOINTS_TRIED_MAX: usize = 3;

impl UpstreamState {
    /// A connection for one request: an idle one of the endpoint picked, or a new one. An endpoint
    /// that cannot be connected to counts as failed and another is tried.
    ///
    /// # Errors
    /// When no endpoint could be connected to.
    pub async fn lease(
        &self,
        wheel: &Rc<Wheel>,
        connect_limit: Duration,
    ) -> Result<Lease, ConnectError> {
        let now = Instant::now();
        let endpoint = self.pick(&[], now).ok_or(ConnectError::NoEndpoint)?;
        // What is idle may be left from before a reload.
        let idle = if self.reuses { endpoint.take_idle() } else { None };
        match idle {
            Some(connection) => {
                let hold = endpoint.hold();
                Ok(Lease { connection, hold, reused: true, reusable: true })
            }
            None => Box::pin(self.lease_new(Rc::clone(endpoint), wheel, connect_limit)).await,
        }
    }

    /// As [`Self::lease`], on a connection that no request has used.
    ///
    /// # Errors
    /// When no endpoint could be connected to.
    pub async fn lease_fresh(
        &self,
        wheel: &Rc<Wheel>,
        connect_limit: Duration,
    ) -> Result<Lease, ConnectError> {
        let endpoint = self.pick(&[], Instant::now()).ok_or(ConnectError::NoEndpoint)?;
        Box::pin(self.lease_new(Rc::clone(endpoint), wheel, connect_limit)).await
    }

    async fn lease_new(
        &self,
        first: Rc<EndpointState>,
        wheel: &Rc<Wheel>,
        connect_limit: Duration,
    ) -> Result<Lease, ConnectError> {
        let mut tried: Vec<Rc<EndpointState>> = Vec::new();
        let mut endpoint = first;
        loop {
            let hold = endpoint.hold();
            endpoint.counters.increment(endpoint.cells.connects);
            let peer = match endpoint.endpoint() {
                Endpoint::Tcp(address) => Peer::Tcp(*address),
                Endpoint::Unix(path) => Peer::Unix(path),
            };
            let error = match connect(peer, wheel, connect_limit).await {
                Ok(stream) => {
                    let connection = Connection { stream, watch: None };
                    return Ok(Lease { connection, hold, reused: false, reusable: self.reuses });
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut => ConnectError::TimedOut,
                Err(error) => {
                    tracing::debug!(endpoint = endpoint.label(), %error, "cannot connect");
                    if is_ours(&error) {
                        return Err(ConnectError::Refused);
                    }
                    ConnectError::Refused
                }
            };
            drop(hold);
            let now = Instant::now();
            endpoint
                .failed(if error == ConnectError::TimedOut { "timeout" } else { "refused" }, now);
            tried.push(endpoint);
            if tried.len() == ENDPOINTS_TRIED_MAX {
                return Err(error);
            }
            endpoint = Rc::clone(self.pick(&tried, now).ok_or(error)?);
        }
    }
}

/// Whether a connect failed for want of something here, which says nothing about the endpoint.
fn is_ours(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EADDRNOTAVAIL)
    )
}

impl Lease {
    /// The connection.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        &self.connection.stream
    }

    /// Where it leads.
    #[must_use]
    pub fn endpoint(&self) -> &Rc<EndpointState> {
        &self.hold.0
    }

    /// Counts a request sent on it.
    pub fn count_request(&self) {
        self.hold.0.counters.increment(self.hold.0.cells.requests);
    }

    /// Counts a request that has to be sent again.
    pub fn count_retry(&self) {
        self.hold.0.counters.increment(self.hold.0.cells.retries);
    }

    /// Whether another request has used it before: it may have died unnoticed.
    #[must_use]
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    /// The receive for the response: the one that watched the idle connection, or a new one into
    /// a buffer that `buffer` makes.
    #[must_use]
    pub fn receive(&mut self, buffer: impl FnOnce() -> Buffer) -> Recv {
        match self.connection.watch.take() {
            Some(watch) => watch,
            None => self.connection.stream.recv_later(buffer()),
        }
    }

    /// Gives the connection back for the next request, or closes it where it is this one's alone. The
    /// exchange on it must be complete to the byte; `buffer` is where the next response begins.
    pub fn release(self, mut buffer: Buffer) {
        if !self.reusable {
            return;
        }
        let Self { mut connection, hold, .. } = self;
        buffer.clear();
        connection.stream.disarm();
        connection.watch = Some(connection.stream.recv_later(buffer));
        hold.0.keep(connection);
    }
}
