//! What is asked of the proxies.

/// One kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Scenario {
    /// 64 keep-alive connections, 128-byte responses
    Keepalive,
    /// The same with an RS256 token from a set of 1,000, verified
    Rs256,
    /// A new connection for each request
    Connect,
    /// 16 keep-alive connections, 1 MiB responses
    #[value(name = "body_1m")]
    Body1m,
}

impl Scenario {
    pub(crate) const ALL: &[Self] = &[Self::Keepalive, Self::Rs256, Self::Connect, Self::Body1m];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Keepalive => "keepalive",
            Self::Rs256 => "rs256",
            Self::Connect => "connect",
            Self::Body1m => "body_1m",
        }
    }

    pub(super) fn connections(self) -> u32 {
        match self {
            Self::Keepalive | Self::Rs256 | Self::Connect => 64,
            Self::Body1m => 16,
        }
    }

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Keepalive | Self::Rs256 | Self::Connect => "/",
            Self::Body1m => "/1m",
        }
    }

    /// Whether the client asks for each connection to be closed.
    pub(super) fn closes(self) -> bool {
        self == Self::Connect
    }

    /// Whether requests carry tokens and the proxies verify them.
    pub(super) fn tokens(self) -> bool {
        self == Self::Rs256
    }
}
