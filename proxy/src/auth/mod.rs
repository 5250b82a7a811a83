//! Token verification, sans-io.

pub mod json;
