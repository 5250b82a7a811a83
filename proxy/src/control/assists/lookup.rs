//! TODO of the branch that wires it.

use super::{Impossible, Report, Sockets, State};
use crate::control::config::Config;
use crate::kernel::Assist;

#[derive(Debug, Default)]
pub(super) struct Lookups;

impl Lookups {
    pub(super) fn start(_config: &Config, _sockets: Sockets<'_>) -> Result<Self, Impossible> {
        Ok(Self)
    }

    pub(super) fn follow(
        &mut self,
        _config: &Config,
        _sockets: Sockets<'_>,
    ) -> Result<(), Impossible> {
        Ok(())
    }

    pub(super) fn report(&self) -> Report {
        Report { assist: Assist::Lookup, state: State::NotAsked("not wired yet") }
    }
}
