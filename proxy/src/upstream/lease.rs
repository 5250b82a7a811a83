//! One request's hold on one connection to an endpoint.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::endpoint::Hold;
use super::{EndpointState, UpstreamState};
use crate::snapshot::upstream_set::Address;
use crate::uring::wheel::Wheel;
use crate::uring::{Buffer, Peer, RecordPools, Recv, Stream, connect};

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
    /// The last one tried and the gateway came to no agreement in TLS.
    #[error("TLS with the endpoint failed")]
    Tls,
}

impl ConnectError {
    /// A word for it in log lines.
    fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::NoEndpoint => "no endpoint",
            Self::Refused => "refused",
            Self::TimedOut => "timeout",
            Self::Tls => "tls",
        }
    }
}

/// How connections are made.
#[derive(Debug, Clone, Copy)]
pub struct Connecting<'a> {
    /// Whose deadlines they have.
    pub wheel: &'a Rc<Wheel>,
    /// Where records of TLS are kept.
    pub records: &'a Rc<RecordPools>,
    /// From the begin until a request can be sent, on each endpoint that is tried.
    pub limit: Duration,
    /// Sent first of all, before TLS: the header of the PROXY protocol.
    pub preface: Option<&'a [u8]>,
}

/// Endpoints tried for one request at most: beyond that the answer is late anyway.
const ENDPOINTS_TRIED_MAX: usize = 3;

impl UpstreamState {
    /// A connection for one request: an idle one of the endpoint picked, or a new one. An endpoint
    /// that cannot be connected to counts as failed and another is tried.
    ///
    /// # Errors
    /// When no endpoint could be connected to.
    pub async fn lease(&self, connecting: Connecting<'_>) -> Result<Lease, ConnectError> {
        let endpoint = self.pick(&[], Instant::now()).ok_or(ConnectError::NoEndpoint)?;
        // What is idle may be left from before a reload.
        let idle = if self.reuses { endpoint.take_idle() } else { None };
        match idle {
            Some(connection) => {
                let hold = endpoint.hold();
                Ok(Lease { connection, hold, reused: true, reusable: true })
            }
            None => Box::pin(self.lease_new(Rc::clone(endpoint), connecting)).await,
        }
    }

    /// As [`Self::lease`], on a connection that no request has used.
    ///
    /// # Errors
    /// When no endpoint could be connected to.
    pub async fn lease_fresh(&self, connecting: Connecting<'_>) -> Result<Lease, ConnectError> {
        let endpoint = self.pick(&[], Instant::now()).ok_or(ConnectError::NoEndpoint)?;
        Box::pin(self.lease_new(Rc::clone(endpoint), connecting)).await
    }

    async fn lease_new(
        &self,
        first: Rc<EndpointState>,
        connecting: Connecting<'_>,
    ) -> Result<Lease, ConnectError> {
        let mut tried: Vec<Rc<EndpointState>> = Vec::new();
        let mut endpoint = first;
        loop {
            let hold = endpoint.hold();
            let error = match self.connect(&endpoint, connecting).await {
                Ok(stream) => {
                    let connection = Connection { stream, watch: None };
                    return Ok(Lease { connection, hold, reused: false, reusable: self.reuses });
                }
                Err(Unconnected::Ours) => return Err(ConnectError::Refused),
                Err(Unconnected::Theirs(error)) => error,
            };
            drop(hold);
            let now = Instant::now();
            endpoint.failed(error.word(), now);
            tried.push(endpoint);
            if tried.len() == ENDPOINTS_TRIED_MAX {
                return Err(error);
            }
            endpoint = Rc::clone(self.pick(&tried, now).ok_or(error)?);
        }
    }

    /// A connection that a request can be sent on.
    async fn connect(
        &self,
        to: &EndpointState,
        connecting: Connecting<'_>,
    ) -> Result<Stream, Unconnected> {
        let begun = Instant::now();
        to.counters.increment(to.cells.connects);
        let peer = match &to.endpoint().address {
            Address::Tcp(address) => Peer::Tcp(*address),
            Address::Unix(path) => Peer::Unix(path),
        };
        let stream = match connect(peer, connecting.wheel, connecting.limit).await {
            Ok(stream) => stream,
            Err(error) => return Err(Unconnected::by(&error, to)),
        };
        let left = || connecting.limit.saturating_sub(begun.elapsed());
        if let Some(preface) = connecting.preface {
            let mut out = connecting.records.take();
            let fits = out.append(preface);
            debug_assert!(fits, "a record holds more than 107 bytes");
            let (sent, _) = stream.send_all(out, left()).await;
            sent.map_err(|error| Unconnected::by(&error, to))?;
        }
        if let (Some(tls), Some(name)) = (&self.tls, &to.endpoint().name) {
            stream.arm(left());
            let shaken = tls.shake_hands(&stream, name, connecting.records).await;
            let timed_out = stream.expired();
            stream.disarm();
            match shaken {
                Ok(is_resumed) => to.secured(is_resumed),
                Err(error) => {
                    to.insecure(&error);
                    // Nothing was said that could be taken for the whole of something.
                    let error = if timed_out { ConnectError::TimedOut } else { ConnectError::Tls };
                    return Err(Unconnected::Theirs(error));
                }
            }
        }
        Ok(stream)
    }
}

/// Why there is no connection to an endpoint.
enum Unconnected {
    /// For want of something here, which says nothing about the endpoint.
    Ours,
    /// The endpoint's fault.
    Theirs(ConnectError),
}

impl Unconnected {
    /// What an error of the socket means.
    fn by(error: &io::Error, endpoint: &EndpointState) -> Self {
        if error.kind() == io::ErrorKind::TimedOut {
            return Self::Theirs(ConnectError::TimedOut);
        }
        tracing::debug!(endpoint = endpoint.label(), %error, "cannot connect");
        if is_ours(error) { Self::Ours } else { Self::Theirs(ConnectError::Refused) }
    }
}

/// Whether a connect failed for want of something here.
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
