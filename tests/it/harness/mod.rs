//! What the tests stand on: a gateway process, and peers that say exactly the bytes they are told.
//!
//! Nothing here knows the gateway's code: messages are read by a strict reader of its own and
//! tokens are signed with *ring* directly, so that a bug cannot hide on both sides.

pub mod client;
pub mod config;
pub mod deadline;
pub mod fixture;
pub mod gateway;
pub mod issuer;
pub mod leaks;
pub mod message;
pub mod metrics;
pub mod oidc;
pub mod third_party;
pub mod tls;
pub mod token;
pub mod tool;
pub mod upstream;
pub mod wire;

pub use client::Client;
pub use config::Config;
pub use deadline::wait_until;
pub use gateway::Gateway;
pub use issuer::Issuer;
pub use leaks::Baseline;
pub use message::{Message, WireError};
pub use tls::{Authority, TlsClient, TlsServer};
pub use token::{Key, Token};
pub use upstream::{Peer, Upstream};
