//! What is asked of the proxies, and what is promised of the cost.

use super::tokens::Algorithm;

/// One kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Scenario {
    /// 64 keep-alive connections, 128-byte responses
    #[value(name = "keepalive_64")]
    Keepalive64,
    /// The same with 4 connections
    #[value(name = "keepalive_4")]
    Keepalive4,
    /// Each request with the same RS256 token
    Rs256Same,
    /// Each request with one of 1,000 RS256 tokens
    #[value(name = "rs256_1000")]
    Rs256Thousand,
    /// Each request with an RS256 token that no cache holds
    Rs256Fresh,
    /// The same with ES256
    Es256Fresh,
    /// The same with EdDSA
    EddsaFresh,
    /// 16 keep-alive connections, 1 MiB responses
    #[value(name = "body_1m")]
    Body1m,
    /// 16 keep-alive connections, 1 MiB request bodies
    #[value(name = "upload_1m")]
    Upload1m,
    /// A new connection for each request
    Connect,
    /// 64 keep-alive connections over TLS 1.3
    TlsKeepalive,
    /// A new connection with a full handshake for each request
    TlsHandshake,
    /// A new connection that resumes a session for each request
    TlsResume,
    /// 16 keep-alive connections over TLS 1.3, 1 MiB responses
    #[value(name = "tls_body_1m")]
    TlsBody1m,
    /// Memory of 10,000 idle connections
    IdlePlain,
    /// Memory of 10,000 idle connections over TLS 1.3
    IdleTls,
    /// 8,000 requests a second on 64 connections, timed from when each was due
    FixedRate,
    /// 16 connections through a TCP listener, 64 MiB each time
    TcpBulk,
    /// 64 WebSockets, messages of 64 bytes that come back
    WebsocketEcho,
}

/// How a scenario is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) entrance: Entrance,
    pub(super) tokens: Option<(Algorithm, Rotation)>,
    pub(super) load: Load,
    pub(super) unit: Unit,
    pub(super) mark: Option<Mark>,
}

/// How clients come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entrance {
    Http,
    Https,
    Tcp,
}

/// Which tokens requests have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rotation {
    Same,
    Thousand,
    Fresh,
}

/// Who asks, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    Wrk { connections: u32, path: &'static str, closes: bool },
    Own { connections: u32, path: &'static str, how: How },
    Echo { connections: u32, bytes: u32 },
    Idle,
}

/// What our own load does that is not the plainest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Plain,
    Upload { bytes: u32 },
    Rate { per_second: u32 },
    FullHandshakes,
    ResumedHandshakes,
}

/// What the cost is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Request,
    Megabyte,
    Echo,
    Connection,
}

/// What ringgate is to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mark {
    /// CPU time for a unit of work, of that of the peer that takes least.
    CpuRatio(f64),
    /// KiB of memory a connection.
    Kibibytes(f64),
    /// p50 and p99 that are at most those of the best peer.
    Latency,
}

impl Eq for Mark {}

impl Scenario {
    pub(super) fn name(self) -> String {
        let value = clap::ValueEnum::to_possible_value(&self);
        value.map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    pub(super) fn shape(self) -> Shape {
        let ratio = |most| Some(Mark::CpuRatio(most));
        let wrk = |connections, path| Load::Wrk { connections, path, closes: false };
        let own = |connections, path, how| Load::Own { connections, path, how };
        let plain = |load, mark| {
            let (entrance, unit) = (Entrance::Http, Unit::Request);
            Shape { entrance, tokens: None, load, unit, mark }
        };
        let tls = |load, mark| Shape { entrance: Entrance::Https, ..plain(load, mark) };
        let tokens = |algorithm, rotation, most| Shape {
            tokens: Some((algorithm, rotation)),
            ..plain(wrk(64, "/"), ratio(most))
        };
        match self {
            Self::Keepalive64 => plain(wrk(64, "/"), ratio(0.82)),
            Self::Keepalive4 => plain(wrk(4, "/"), ratio(0.92)),
            Self::Rs256Same => tokens(Algorithm::Rs256, Rotation::Same, 0.40),
            Self::Rs256Thousand => tokens(Algorithm::Rs256, Rotation::Thousand, 0.40),
            Self::Rs256Fresh => tokens(Algorithm::Rs256, Rotation::Fresh, 0.75),
            Self::Es256Fresh => tokens(Algorithm::Es256, Rotation::Fresh, 0.75),
            Self::EddsaFresh => tokens(Algorithm::Eddsa, Rotation::Fresh, 0.75),
            Self::Body1m => plain(wrk(16, "/1m"), ratio(0.60)),
            Self::Upload1m => plain(own(16, "/", How::Upload { bytes: 1024 * 1024 }), ratio(0.60)),
            Self::Connect => {
                plain(Load::Wrk { connections: 64, path: "/", closes: true }, ratio(0.87))
            }
            Self::TlsKeepalive => tls(own(64, "/", How::Plain), ratio(0.80)),
            Self::TlsHandshake => tls(own(16, "/", How::FullHandshakes), ratio(0.70)),
            Self::TlsResume => tls(own(16, "/", How::ResumedHandshakes), None),
            Self::TlsBody1m => tls(own(16, "/1m", How::Plain), ratio(1.0)),
            Self::IdlePlain => {
                Shape { unit: Unit::Connection, ..plain(Load::Idle, Some(Mark::Kibibytes(1.1))) }
            }
            Self::IdleTls => {
                Shape { unit: Unit::Connection, ..tls(Load::Idle, Some(Mark::Kibibytes(15.0))) }
            }
            Self::FixedRate => {
                plain(own(64, "/", How::Rate { per_second: 8000 }), Some(Mark::Latency))
            }
            Self::TcpBulk => Shape {
                entrance: Entrance::Tcp,
                unit: Unit::Megabyte,
                ..plain(own(16, "/bytes/67108864", How::Plain), ratio(1.0))
            },
            Self::WebsocketEcho => {
                Shape { unit: Unit::Echo, ..plain(Load::Echo { connections: 64, bytes: 64 }, None) }
            }
        }
    }
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Megabyte => "MB",
            Self::Echo => "echo",
            Self::Connection => "connection",
        }
    }
}
