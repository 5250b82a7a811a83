//! What the cases need of the harness of the integration tests.

#[path = "../../it/harness/fixture.rs"]
pub mod fixture;
