//! Every reason for which a request is not served as asked, under one stable code each, and the
//! cells that count them.

use super::pacing::PacingCounters;
use super::tls_counters::TlsCounters;
use super::token_cache_counters::TokenCacheCounters;
use crate::auth;
use crate::http1::{ChunkedError, RequestError, ResponseError};
use crate::telemetry::counters::{CounterId, Family, Kind, OutOfCells, Registry};
use crate::upstream::ConnectError;

/// Why a request was not served as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The request's head breaks a rule of HTTP.
    Request(RequestError),
    /// The request's chunks break a rule of HTTP.
    RequestChunks(ChunkedError),
    /// The token is not good enough.
    Token(auth::Reason),
    /// The upstream's head breaks a rule of HTTP.
    Response(ResponseError),
    /// The upstream's chunks break a rule of HTTP.
    ResponseChunks(ChunkedError),
    /// The gateway's own limits, routes and connections.
    Gate(Gate),
}

/// Declares [`Gate`] with its codes and its list in one place.
macro_rules! gate {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal;)+) => {
        /// What the gateway itself finds fault with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Gate { $($(#[doc = $doc])+ $variant,)+ }

        impl Gate {
            /// All of them, in the order of their index.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable code.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// What it is, in words.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

gate! {
    /// No route matches.
    NoRoute = "route.none";
    /// The route is not for clients of this address.
    RouteClient = "route.client_denied";
    /// The route asks for a client's certificate, and the client has shown none.
    NoClientCertificate = "client_certificate.missing";
    /// The route is not for clients with this certificate.
    ClientCertificateDenied = "client_certificate.denied";
    /// A page of this origin may not use the route, by its `cors`.
    CorsOrigin = "cors.origin";
    /// A trusted proxy sent it for a client whose address the shield's deny list names.
    ClientDenied = "client.denied";
    /// A trusted proxy sent it for a client whose source is banned.
    ClientBanned = "client.banned";
    /// The listener requires a header of the PROXY protocol, and there is none.
    ProxyHeaderMissing = "proxy_protocol.missing";
    /// A header of the PROXY protocol is malformed.
    ProxyHeaderMalformed = "proxy_protocol.malformed";
    /// A header of the PROXY protocol, or a connection that requires one, from somebody who may send none.
    ProxyHeaderUntrusted = "proxy_protocol.untrusted";
    /// The TLS handshake was not over in time.
    TlsTimeout = "tls.timeout";
    /// The TLS handshake failed, or what came is no TLS.
    TlsFailed = "tls.failed";
    /// A request in plain text where the listener speaks TLS.
    PlainTextOnTls = "tls.plain_text";
    /// TLS where the listener speaks in plain text.
    TlsOnPlainText = "tls.not_spoken";
    /// The route has a pattern that rewrites paths, and it does not take this one.
    RewriteUnmatched = "route.rewrite_unmatched";
    /// What the route's pattern makes of the path is no path in normal form.
    RewriteInvalid = "route.rewrite_invalid";
    /// The client names no host that the route's redirect could lead to.
    RedirectHost = "route.redirect_host";
    /// The route is in maintenance.
    Maintenance = "route.maintenance";
    /// TRACE, or CONNECT where no route is for it.
    MethodRefused = "request.method_refused";
    /// CONNECT to a port that the route does not lead to.
    ConnectPort = "route.connect_port";
    /// The request body is over `limits.request_body`.
    BodyTooLarge = "limit.request_body";
    /// The worker holds as many connections as it may.
    TooManyConnections = "limit.connections";
    /// The worker holds as many connections of the listener as it may.
    TooManyOfListener = "limit.listener_connections";
    /// The worker holds as many connections of the client's source as it may.
    TooManyOfSource = "limit.source_connections";
    /// The worker has as many TLS handshakes of the listener going on as it may.
    TooManyHandshakes = "limit.tls_handshakes";
    /// The worker has as many requests at the upstream as it may.
    UpstreamFull = "limit.upstream_requests";
    /// The head with what the gateway adds to it does not fit a buffer.
    ForwardedHeadTooLarge = "limit.forwarded_head";
    /// The head did not arrive in time.
    HeadTimeout = "timeout.request_head";
    /// The request body made no progress in time.
    BodyTimeout = "timeout.request_body";
    /// The request body came too slowly.
    BodyTooSlow = "timeout.request_body_rate";
    /// The client left before its request was whole.
    ClientLeft = "client.left";
    /// The client left, or did not read, while the response was on its way.
    ClientLost = "client.lost";
    /// The client took the response too slowly.
    ClientTooSlow = "client.too_slow";
    /// The upstream has no endpoint.
    NoEndpoint = "upstream.no_endpoint";
    /// No endpoint accepts connections.
    ConnectRefused = "upstream.connect_refused";
    /// No endpoint accepts connections in time.
    ConnectTimeout = "upstream.connect_timeout";
    /// TLS with the endpoint failed: its certificate is not believed, say.
    UpstreamTls = "upstream.tls_failed";
    /// The endpoint closed or reset the connection before its response.
    UpstreamClosed = "upstream.closed";
    /// The endpoint did not answer in time.
    UpstreamTimeout = "upstream.timeout";
    /// The response body ended early.
    UpstreamBodyCut = "upstream.body_cut";
    /// The response body made no progress in time.
    UpstreamBodyTimeout = "upstream.body_timeout";
    /// More interim (1xx) responses than are passed on.
    UpstreamInterim = "upstream.too_many_interim";
    /// A 101 that nobody asked for, or to another protocol.
    UpstreamSwitched = "upstream.unasked_switch";
    /// The token that opened the stream has expired.
    TokenExpired = "stream.token_expired";
    /// The token that opened the stream was revoked, or its key taken away.
    TokenRevoked = "stream.token_revoked";
}

impl From<ConnectError> for Gate {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Full => Self::UpstreamFull,
            ConnectError::NoEndpoint => Self::NoEndpoint,
            ConnectError::Refused => Self::ConnectRefused,
            ConnectError::TimedOut => Self::ConnectTimeout,
            ConnectError::Tls => Self::UpstreamTls,
        }
    }
}

impl From<RequestError> for Reason {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl Reason {
    /// How many there are.
    const COUNT: usize = offset(6);

    /// The stable code: `framing.te_and_cl`, `auth.expired`, `upstream.timeout`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Request(error) => error.code(),
            Self::RequestChunks(error) | Self::ResponseChunks(error) => error.code(),
            Self::Token(reason) => reason.code(),
            Self::Response(error) => error.code(),
            Self::Gate(gate) => gate.code(),
        }
    }

    /// What is wrong, in words for operators.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Request(error) => error.meaning(),
            Self::RequestChunks(error) | Self::ResponseChunks(error) => error.meaning(),
            Self::Token(reason) => reason.meaning(),
            Self::Response(error) => error.meaning(),
            Self::Gate(gate) => gate.meaning(),
        }
    }

    /// Whether there is an answer to it: not where a response had begun, or nobody is there.
    #[must_use]
    pub fn is_answered(self) -> bool {
        !matches!(
            self,
            Self::Gate(
                Gate::ProxyHeaderMissing
                    | Gate::ProxyHeaderMalformed
                    | Gate::ProxyHeaderUntrusted
                    | Gate::TlsTimeout
                    | Gate::TlsFailed
                    | Gate::TlsOnPlainText
                    | Gate::TooManyHandshakes
                    | Gate::ClientLeft
                    | Gate::ClientLost
                    | Gate::ClientTooSlow
                    | Gate::UpstreamBodyCut
                    | Gate::UpstreamBodyTimeout
                    | Gate::TokenExpired
                    | Gate::TokenRevoked
            )
        )
    }

    /// Whose fault it is.
    #[must_use]
    pub fn fault(self) -> Fault {
        match self {
            Self::Request(_) | Self::RequestChunks(_) => Fault::Client,
            Self::Token(reason) => match reason.class() {
                auth::Class::NoKeys => Fault::Gateway,
                _ => Fault::Client,
            },
            Self::Response(_) | Self::ResponseChunks(_) => Fault::Upstream,
            Self::Gate(gate) => match gate {
                Gate::NoRoute
                | Gate::TooManyOfSource
                | Gate::RewriteUnmatched
                | Gate::RedirectHost
                | Gate::RouteClient
                | Gate::NoClientCertificate
                | Gate::ClientCertificateDenied
                | Gate::CorsOrigin
                | Gate::ClientDenied
                | Gate::ClientBanned
                | Gate::ProxyHeaderMissing
                | Gate::ProxyHeaderMalformed
                | Gate::ProxyHeaderUntrusted
                | Gate::TlsTimeout
                | Gate::TlsFailed
                | Gate::PlainTextOnTls
                | Gate::TlsOnPlainText
                | Gate::MethodRefused
                | Gate::ConnectPort
                | Gate::BodyTooLarge
                | Gate::ForwardedHeadTooLarge
                | Gate::HeadTimeout
                | Gate::BodyTimeout
                | Gate::BodyTooSlow
                | Gate::ClientLeft
                | Gate::ClientLost
                | Gate::ClientTooSlow
                | Gate::TokenExpired
                | Gate::TokenRevoked => Fault::Client,
                Gate::RewriteInvalid
                | Gate::Maintenance
                | Gate::TooManyConnections
                | Gate::TooManyOfListener
                | Gate::TooManyHandshakes
                | Gate::UpstreamFull => Fault::Gateway,
                Gate::NoEndpoint
                | Gate::ConnectRefused
                | Gate::ConnectTimeout
                | Gate::UpstreamTls
                | Gate::UpstreamClosed
                | Gate::UpstreamTimeout
                | Gate::UpstreamBodyCut
                | Gate::UpstreamBodyTimeout
                | Gate::UpstreamInterim
                | Gate::UpstreamSwitched => Fault::Upstream,
            },
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Request(error) => offset(0) + error.index(),
            Self::RequestChunks(error) => offset(1) + error.index(),
            Self::Token(reason) => offset(2) + reason.index(),
            Self::Response(error) => offset(3) + error.index(),
            Self::ResponseChunks(error) => offset(4) + error.index(),
            Self::Gate(gate) => offset(5) + gate as usize,
        }
    }

    /// All of them, in the order of their index.
    pub fn all() -> impl Iterator<Item = Self> {
        let request = RequestError::ALL.iter().map(|&error| Self::Request(error));
        request
            .chain(ChunkedError::ALL.iter().map(|&error| Self::RequestChunks(error)))
            .chain(auth::Reason::ALL.iter().map(|&reason| Self::Token(reason)))
            .chain(ResponseError::ALL.iter().map(|&error| Self::Response(error)))
            .chain(ChunkedError::ALL.iter().map(|&error| Self::ResponseChunks(error)))
            .chain(Gate::ALL.iter().map(|&gate| Self::Gate(gate)))
    }
}

/// The index of the first reason of the `group`-th variant of [`Reason`].
const fn offset(group: usize) -> usize {
    let sizes = [
        RequestError::ALL.len(),
        ChunkedError::ALL.len(),
        auth::Reason::ALL.len(),
        ResponseError::ALL.len(),
        ChunkedError::ALL.len(),
        Gate::ALL.len(),
    ];
    let (mut total, mut at) = (0, 0);
    while at < group {
        total += sizes[at];
        at += 1;
    }
    total
}

/// Whose fault it is that a request was not served as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The client's.
    Client,
    /// The upstream's.
    Upstream,
    /// Ours.
    Gateway,
}

impl Fault {
    /// The value of the `fault` label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Gateway => "gateway",
        }
    }
}

static REFUSALS: Family = Family {
    name: "ringgate_refusals",
    help: "Requests, and connections of tcp listeners, not served as asked, by reason and by whose fault it is.",
    kind: Kind::Counter,
    labels: &["reason", "fault"],
};
static GENERATION: Family = Family {
    name: "ringgate_worker_generations",
    help: "Generation of the snapshot each worker judges by, added up over the workers.",
    kind: Kind::Gauge,
    labels: &[],
};
static BUFFERS: Family = Family {
    name: "ringgate_buffers_in_use",
    help: "Buffers in use, by pool.",
    kind: Kind::Gauge,
    labels: &["pool"],
};
static PARKED: Family = Family {
    name: "ringgate_requests_parked",
    help: "Requests that wait now while a key that their token names is looked for.",
    kind: Kind::Gauge,
    labels: &[],
};
static PARKINGS: Family = Family {
    name: "ringgate_parkings",
    help: "Requests that waited while the key that their token names was looked for, by how that ended; full: too many waited already.",
    kind: Kind::Counter,
    labels: &["outcome"],
};
static SPLICED: Family = Family {
    name: "ringgate_spliced_flows",
    help: "Directions of tunnels whose bytes the kernel has moved by itself.",
    kind: Kind::Counter,
    labels: &[],
};
static TOKENS: Family = Family {
    name: "ringgate_tokens",
    help: "Tokens judged: good, tolerated by a permissive route, or refused.",
    kind: Kind::Counter,
    labels: &["verdict"],
};

static OFFENCES: Family = Family {
    name: "ringgate_invalid_signatures",
    help: "Requests whose token had a signature that no key has made, from sources that can be banned; overflow: from too many sources at once to be counted towards a ban.",
    kind: Kind::Counter,
    labels: &["outcome"],
};

/// The cells of a worker that no listener, route or upstream owns.
#[derive(Debug, Clone)]
pub struct WorkerCounters {
    refusals: Box<[CounterId]>,
    pub(super) generation: CounterId,
    pub(super) head_buffers: CounterId,
    pub(super) body_buffers: CounterId,
    pub(super) parked: CounterId,
    pub(super) parkings_found: CounterId,
    pub(super) parkings_missing: CounterId,
    pub(super) parkings_timeout: CounterId,
    pub(super) parkings_full: CounterId,
    pub(super) spliced: CounterId,
    pub(super) tokens_good: CounterId,
    pub(super) tokens_tolerated: CounterId,
    pub(super) tokens_refused: CounterId,
    pub(super) offences_noted: CounterId,
    pub(super) offences_overflow: CounterId,
    pub(super) pacing: PacingCounters,
    pub(super) handshakes: PacingCounters,
    pub(super) tls: TlsCounters,
    pub(super) token_cache: TokenCacheCounters,
    /// For requests that took no route.
    pub(super) no_route: crate::telemetry::labels::RouteCounters,
}

impl WorkerCounters {
    /// The cells, the same for every worker.
    ///
    /// # Errors
    /// When every cell is taken.
    pub fn register(registry: &mut Registry) -> Result<Self, OutOfCells> {
        let refusals = Reason::all()
            .map(|reason| registry.cell(&REFUSALS, &[reason.code(), reason.fault().label()]))
            .collect::<Result<Box<[_]>, _>>()?;
        assert_eq!(refusals.len(), Reason::COUNT, "every reason has a cell");
        Ok(Self {
            refusals,
            generation: registry.cell(&GENERATION, &[])?,
            head_buffers: registry.cell(&BUFFERS, &["head"])?,
            body_buffers: registry.cell(&BUFFERS, &["body"])?,
            parked: registry.cell(&PARKED, &[])?,
            parkings_found: registry.cell(&PARKINGS, &["found"])?,
            parkings_missing: registry.cell(&PARKINGS, &["missing"])?,
            parkings_timeout: registry.cell(&PARKINGS, &["timeout"])?,
            parkings_full: registry.cell(&PARKINGS, &["full"])?,
            spliced: registry.cell(&SPLICED, &[])?,
            tokens_good: registry.cell(&TOKENS, &["good"])?,
            tokens_tolerated: registry.cell(&TOKENS, &["tolerated"])?,
            tokens_refused: registry.cell(&TOKENS, &["refused"])?,
            offences_noted: registry.cell(&OFFENCES, &["reported"])?,
            offences_overflow: registry.cell(&OFFENCES, &["overflow"])?,
            pacing: PacingCounters::verifications(registry)?,
            handshakes: PacingCounters::handshakes(registry)?,
            tls: TlsCounters::register(registry)?,
            token_cache: TokenCacheCounters::register(registry)?,
            no_route: crate::telemetry::labels::RouteCounters::register(
                registry,
                crate::telemetry::labels::NO_ROUTE,
            )?,
        })
    }

    /// The cell that counts this reason.
    #[must_use]
    pub(super) fn refusal(&self, reason: Reason) -> CounterId {
        self.refusals[reason.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_index() {
        let indices: Vec<usize> = Reason::all().map(Reason::index).collect();
        assert_eq!(indices, (0..Reason::COUNT).collect::<Vec<_>>());
    }

    #[test]
    fn codes_are_lower_case_words_in_two_parts() {
        for reason in Reason::all() {
            let (group, name) = reason.code().split_once('.').unwrap();
            let is_word = |text: &str| {
                !text.is_empty()
                    && text
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            };
            assert!(is_word(group) && is_word(name), "{}", reason.code());
        }
    }
}
