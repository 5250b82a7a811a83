//! Key sets: fetched, parsed, scheduled.

pub mod fetch;
pub mod freshness;
pub mod location;
pub mod parse;
pub mod schedule;
pub mod sources;
