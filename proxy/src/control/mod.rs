//! The control plane: configuration, keys, publication, administration.

pub mod admin;
pub mod assists;
pub mod bans;
pub mod certificates;
pub mod compile;
pub mod config;
pub mod demand;
pub mod deny;
pub mod descriptors;
pub mod event;
pub mod event_loop;
pub mod jwks;
pub mod publish;
pub mod question;
pub mod regular_file;
pub mod reload;
pub mod resolve;
pub mod status;
pub mod system_roots;
pub mod watch;
