//! Command-line flags.

pub mod check;
pub mod schema;
