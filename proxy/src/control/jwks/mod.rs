//! Key sets: fetched, parsed, scheduled.

pub mod fetch;
pub mod freshness;
pub mod schedule;
