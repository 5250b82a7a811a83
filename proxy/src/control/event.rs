//! What the control thread waits for.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::bans::{self, Lift};
use super::deny::book::{Change, Changed, Listing, TooMany};
use super::jwks::fetch::{FetchError, Fetched};
use super::jwks::refresh::Refreshed;
use super::jwks::sources::SourceId;
use super::question::Reply;
use super::resolve::HostPort;
use crate::snapshot::ids::Generation;
use crate::worker::Offence;

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
    /// An operator asks for a fetch of a provider's keys now.
    AdminRefresh {
        /// The provider's name.
        provider: Box<str>,
        /// What came of it, once it has ended; empty where the provider has nothing to fetch.
        reply: Reply<Vec<Refreshed>>,
    },
    /// An operator changes the deny list.
    AdminDeny {
        /// How.
        change: Change,
        /// What came of it, once every worker runs it.
        reply: Reply<Result<Changed, TooMany>>,
    },
    /// An operator asks what is in the deny list.
    AdminDenials {
        /// All of it.
        reply: Reply<Listing>,
    },
    /// A worker tells of forged tokens.
    Offences {
        /// A source has one entry at most.
        offences: Vec<Offence>,
    },
    /// An operator asks who is banned.
    AdminBans {
        /// All of them.
        reply: Reply<bans::Listing>,
    },
    /// An operator lifts bans.
    AdminLift {
        /// Which.
        which: Lift,
        /// How many were lifted.
        reply: Reply<usize>,
    },
    /// A fetch over the network ended.
    Fetched {
        /// What was fetched.
        source: SourceId,
        /// How it ended.
        outcome: Result<Fetched, FetchError>,
    },
    /// A watched file is another one now.
    FileChanged {
        /// As it was asked for.
        path: PathBuf,
    },
    /// A name look-up ended.
    Resolved {
        /// What was looked up.
        name: HostPort,
        /// Sorted addresses, at least one.
        outcome: io::Result<Vec<SocketAddr>>,
    },
}
