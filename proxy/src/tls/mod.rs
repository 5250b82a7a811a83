//! TLS without sockets: sessions, and the certificates, keys and rules that they are made by.
//!
//! The library is rustls with ring. A session is driven on buffers of the caller's; nothing here
//! waits, and nothing reads a clock but the library itself, for the times in certificates and
//! tickets.

mod certificate;
mod client;
mod client_certificate;
mod der;
mod digest;
mod first;
mod identity;
mod names;
mod server;
mod session;
#[cfg(test)]
pub(crate) mod throw_away;
mod tickets;
mod trust;

pub use certificate::{AlternativeName, Certificate};
pub use client::{ClientRules, client};
pub use client_certificate::{ClientCertificate, thumbprint_of_pem};
pub use first::{DECLINED, First, first};
pub use identity::{Identity, IdentityError};
pub use names::UnknownName;
pub use server::{Profile, SUITES, ServerRules, server};
pub use session::{Agreement, Opened, RECORD_BYTES, RECORD_BYTES_MAX, Sealed, Session};
pub use tickets::{NoRandom, ROTATION_SECONDS, TICKET_SECONDS, TicketKeys};
pub use trust::{Authorities, Trust, TrustError};
