//! What is forwarded and how it comes back, one file an aspect.

mod bodies;
mod client;
mod connect;
mod connections;
mod edits;
mod fields;
mod interim;
mod large;
mod upgrade;
