//! Command-line flags.

pub mod token;
pub mod verify;
