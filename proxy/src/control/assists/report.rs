//! How an assist is: for the log at start, `/config` and the metrics.

use serde_json::{Value, json};

use crate::kernel::Assist;

/// How one assist is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which.
    pub assist: Assist,
    /// On or off.
    pub state: State,
}

/// On or off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It works.
    On {
        /// How, such as the policy or the mode.
        how: String,
        /// What of it was asked for and cannot be had, with the reason.
        without: Vec<String>,
    },
    /// Nobody asked for it.
    NotAsked(&'static str),
    /// It was left to the gateway, which cannot have it here for this reason.
    NotHere(String),
    /// It cannot be had, for this reason.
    Off(String),
}

impl Report {
    /// Whether it works.
    #[must_use]
    pub fn is_on(&self) -> bool {
        matches!(self.state, State::On { .. })
    }

    /// One line in the log.
    pub fn log(&self) {
        let assist = self.assist.name();
        match &self.state {
            State::On { how, without } => {
                tracing::info!(assist, "on: {how}");
                for what in without {
                    tracing::warn!(assist, "without {what}");
                }
            }
            State::NotAsked(why) => tracing::info!(assist, "off: {why}"),
            State::NotHere(why) => tracing::info!(assist, "off: {why}"),
            State::Off(why) => tracing::warn!(assist, "off: {why}"),
        }
    }

    /// As `/config` has it.
    #[must_use]
    pub fn describe(&self) -> Value {
        match &self.state {
            State::On { how, without } => json!({ "on": true, "how": how, "without": without }),
            State::NotAsked(why) => json!({ "on": false, "why": why }),
            State::NotHere(why) | State::Off(why) => json!({ "on": false, "why": why }),
        }
    }
}
