//! The whole exchange in memory: the worker that serves in production between a client and an
//! upstream that are bytes, cut anywhere.
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected is to fail there")]
#![allow(unreachable_pub, reason = "shared with the fuzz target; a test binary exports nothing")]

#[path = "../it/messages/cases.rs"]
mod cases;
mod harness;
#[path = "../it/messages/lenient.rs"]
mod lenient;
mod oracle;
mod script;
mod splits;
