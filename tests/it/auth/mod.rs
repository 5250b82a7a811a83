//! Tokens: which are believed, what becomes of them, and how a refusal is told.
//!
//! Names begin with the rows of the rules for tokens that a test proves: E extraction, J JOSE
//! structure, K keys, C claims, S5 to S7 the later sections, R how refusals are told.

mod algorithms;
mod answers;
mod claims;
mod locations;
mod modes;
mod refusals;
mod resources;
mod secrets;
mod structure;
