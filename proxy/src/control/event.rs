//! What the control thread waits for.

use std::io;
use std::net::SocketAddr;

use super::jwks::fetch::{FetchError, Fetched};
use super::jwks::sources::SourceId;
use super::resolve::HostPort;
use crate::snapshot::ids::Generation;

/// Something happened on another thread of the control plane.
#[derive(Debug)]
pub enum Event {
    /// SIGHUP.
    Reload,
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
    /// A worker has a token that names a key which nobody has.
    UnknownKey {
        /// The provider's name.
        provider: Box<str>,
        /// The snapshot that the worker judged by.
        lacking: Generation,
        /// Which worker asks, by its place in the list.
        worker: usize,
    },
    /// A fetch over the network ended.
    Fetched {
        /// What was fetched.
        source: SourceId,
        /// How it ended.
        outcome: Result<Fetched, FetchError>,
    },
    /// A name look-up ended.
    Resolved {
        /// What was looked up.
        name: HostPort,
        /// Sorted addresses, at least one.
        outcome: io::Result<Vec<SocketAddr>>,
    },
}
