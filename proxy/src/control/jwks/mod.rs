//! Key sets: fetched, parsed, scheduled.

pub mod parse;
