//! ringgate: an edge gateway that verifies a JSON Web Token on every request, on io_uring.
//!
//! A module uses the layers below it only: crypto; snapshot, telemetry; http1; auth, tls; uring, kernel;
//! upstream, relay; worker; control; gateway, cli. `cargo xtask tidy` checks that.

pub mod auth;
pub mod cli;
pub mod control;
pub mod crypto;
pub mod gateway;
pub mod http1;
pub mod kernel;
pub mod proxy_protocol;
pub mod relay;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod snapshot;
pub mod telemetry;
pub mod tls;
pub mod upstream;
pub mod uring;
pub mod worker;
