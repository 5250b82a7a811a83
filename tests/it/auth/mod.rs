//! Tokens: which are believed, what becomes of them, and how a refusal is told.

mod algorithms;
mod answers;
mod claims;
mod locations;
mod modes;
mod refusals;
mod resources;
mod secrets;
