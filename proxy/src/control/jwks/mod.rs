//! Key sets: fetched, parsed, scheduled.

pub mod address_guard;
mod age;
mod connector;
pub mod discovery;
pub mod fetch;
pub(in crate::control) mod fingerprint;
pub mod freshness;
mod keeper;
pub(in crate::control) mod last_good;
mod lingering;
pub mod location;
pub mod member;
pub mod parse;
pub mod public_jwk;
pub mod refetch;
pub mod refresh;
pub mod schedule;
pub mod secrets;
pub mod source;
pub mod sources;
pub mod transport;
