//! Opens the connection of a fetch: a TCP or Unix socket, then TLS, each within its time.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};
use ureq::http::Uri;
use ureq::http::uri::Authority;
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout,
    RustlsConnector, TcpConnector, Transport,
};
use ureq::{Error, Timeout};

#[cfg(test)]
mod tests;

/// A TLS handshake took too long; ureq has no name for that.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("TLS handshake")]
pub(super) struct SlowHandshake;

/// What opens the connections of one fetch, through a proxy where one is configured.
pub(super) fn connector(socket: SocketConnector, tls: TlsConnector) -> impl Connector {
    ().chain(ConnectProxyConnector::default()).chain(socket).chain(tls)
}

/// Opens the socket.
#[derive(Debug)]
pub(super) struct SocketConnector {
    /// The only one that is connected to, whatever the URL's host.
    pub(super) unix: Option<PathBuf>,
    /// Names have been looked up and the socket is open by then.
    pub(super) deadline: Instant,
}

impl<In: Transport> Connector<In> for SocketConnector {
    type Out = Either<<TcpConnector as Connector<In>>::Out, UnixTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        // ureq takes a timeout of zero for one of a second.
        if left.is_zero() {
            return Err(Error::Timeout(Timeout::Connect));
        }
        if let Some(path) = &self.unix {
            return Ok(Some(Either::B(UnixTransport::connect(path, left, details)?)));
        }
        let opened = TcpConnector::default().connect(&within(details, details.uri, left), chained);
        Ok(opened?.map(Either::A))
    }
}

/// Adds TLS where the URL asks for it.
#[derive(Debug)]
pub(super) struct TlsConnector {
    /// The server that the fetch is from, which a proxy on the way is not.
    pub(super) server: Option<Authority>,
    /// The name that is asked for in the handshake and must stand in the server's certificate,
    /// instead of the host.
    pub(super) name: Option<Authority>,
    /// How long it may take.
    pub(super) within: Duration,
    /// When all must be over.
    pub(super) deadline: Instant,
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = <RustlsConnector as Connector<In>>::Out;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let named = self
            .name
            .as_ref()
            .filter(|_| details.needs_tls() && details.uri.authority() == self.server.as_ref());
        let uri = match named {
            Some(name) => Uri::builder()
                .scheme("https")
                .authority(name.clone())
                .path_and_query("/")
                .build()?,
            None => details.uri.clone(),
        };
        let left = self.deadline.saturating_duration_since(Instant::now());
        let outcome = RustlsConnector::default()
            .connect(&within(details, &uri, self.within.min(left)), chained);
        outcome.map_err(|error| match error {
            Error::Timeout(Timeout::Connect) => Error::Other(Box::new(SlowHandshake)),
            other => other,
        })
    }
}

/// The same with another URL and less time.
fn within<'d>(
    details: &ConnectionDetails<'d>,
    uri: &'d Uri,
    left: Duration,
) -> ConnectionDetails<'d> {
    let timeout =
        NextTimeout { after: left.into(), reason: Timeout::Connect, ..NextTimeout::default() };
    ConnectionDetails {
        uri,
        addrs: details.addrs.clone(),
        config: details.config,
        request_level: details.request_level,
        resolver: details.resolver,
        now: (details.current_time)(),
        timeout,
        current_time: details.current_time.clone(),
        run_connector: details.run_connector.clone(),
        register_shutdown: details.register_shutdown.clone(),
    }
}

/// A Unix stream socket.
pub(super) struct UnixTransport {
    stream: UnixStream,
    buffers: LazyBuffers,
}

impl std::fmt::Debug for UnixTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnixTransport").finish_non_exhaustive()
    }
}

impl UnixTransport {
    fn connect(
        path: &Path,
        left: Duration,
        details: &ConnectionDetails<'_>,
    ) -> Result<Self, Error> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // While the listener's queue is full, connect(2) waits this long, unix(7).
        socket.set_write_timeout(Some(left))?;
        let connected = socket.connect(&SockAddr::unix(path)?);
        connected.map_err(|error| failed(error, Timeout::Connect))?;
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Self { stream: socket.into(), buffers })
    }
}

impl Transport for UnixTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.set_write_timeout(left(timeout)?)?;
        let output = &self.buffers.output()[..amount];
        self.stream.write_all(output).map_err(|error| failed(error, timeout.reason))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.set_read_timeout(left(timeout)?)?;
        let received = self.stream.read(self.buffers.input_append_buf());
        let amount = received.map_err(|error| failed(error, timeout.reason))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        // Connections are not kept.
        false
    }
}

fn left(timeout: NextTimeout) -> Result<Option<Duration>, Error> {
    match timeout.after {
        after if after.is_not_happening() => Ok(None),
        after if after.is_zero() => Err(Error::Timeout(timeout.reason)),
        after => Ok(Some(*after)),
    }
}

fn failed(error: io::Error, stage: Timeout) -> Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Error::Timeout(stage),
        _ => Error::Io(error),
    }
}
