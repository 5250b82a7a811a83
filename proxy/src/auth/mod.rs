//! Token verification, sans-io: request fields and a snapshot's rules in, a verdict out.
//!
//! [`authorize()`] is what a worker calls. The order of work for one token is in `verification`:
//! size, characters, segments, JOSE header, provider (exact `iss`, still unverified), key, signature,
//! claims; then the rules of the route. The cache of verified tokens stands in front of all but
//! the size, the deny list and the rules. Only the verdict reaches the client; the reason goes to log and metrics.

mod authorize;
mod bearer;
mod challenge;
mod claim_rules;
mod claims;
mod compact;
mod explain;
mod header_block;
mod jose_header;
pub mod json;
mod key_lookup;
mod presented;
mod refusal;
mod removal;
mod signature;
mod token_cache;
mod trace;
mod verification;
mod verified_token;

pub use authorize::{Authorization, Criteria, STATUS_FIELD, always, authorize};
pub use challenge::write_challenge;
pub use explain::{ExplainedToken, Explanation, explain, explain_request, explain_signature};
pub(crate) use jose_header::is_valid_kid;
pub use presented::{Places, Presented};
pub use refusal::{Class, Reason, Refusal};
pub use removal::Removal;
pub use token_cache::{CacheFigures, TokenCache, Usage};
pub use trace::Finding;
pub use verified_token::VerifiedToken;

pub use crate::snapshot::unix_time::UnixTime;

#[cfg(test)]
pub(crate) mod tests;
