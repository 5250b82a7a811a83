//! The control plane: configuration, keys, publication, administration.

pub mod admin;
pub mod compile;
pub mod config;
pub mod event;
pub mod jwks;
pub mod resolve;
pub mod status;
