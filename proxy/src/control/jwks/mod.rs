//! Key sets: fetched, parsed, scheduled.

pub mod fetch;
mod fingerprint;
pub mod freshness;
pub mod location;
pub mod parse;
pub mod refetch;
pub mod schedule;
pub mod sources;
