//! The control plane: configuration, keys, publication, administration.

pub mod admin;
pub mod compile;
pub mod config;
pub mod jwks;
