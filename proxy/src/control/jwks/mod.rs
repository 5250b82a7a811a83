//! Key sets: fetched, parsed, scheduled.

pub mod address_guard;
mod age;
mod connector;
pub mod discovery;
pub mod fetch;
mod fingerprint;
pub mod freshness;
mod last_good;
pub mod location;
pub mod parse;
pub mod refetch;
pub mod schedule;
pub mod source;
pub mod sources;
pub mod transport;
