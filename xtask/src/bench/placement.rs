//! On which core a program runs, with which priority, and that it ends with this process.

use std::process::{Command, Stdio};

/// The core of the proxy under test, and the one of the load and the upstream.
pub(crate) const PROXY_CORE: &str = "0";
pub(crate) const LOAD_CORE: &str = "1";

/// Who may keep a program from running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    Usual,
    /// Only what is as urgent: less noise on a machine that does other work.
    Realtime,
}

/// Where the programs of a run are.
#[derive(Debug, Clone)]
pub(super) struct Placement {
    pub(super) proxy_cores: String,
    pub(super) load_cores: String,
    pub(super) priority: Priority,
}

impl Placement {
    pub(super) fn new(priority: Priority) -> Self {
        Self { proxy_cores: PROXY_CORE.into(), load_cores: LOAD_CORE.into(), priority }
    }

    pub(super) fn proxy(&self, command: &Command) -> Command {
        placed(&self.proxy_cores, self.priority, command)
    }

    pub(super) fn load(&self, command: &Command) -> Command {
        placed(&self.load_cores, self.priority, command)
    }
}

/// The same command: each of these programs becomes the next and keeps its process id.
fn placed(cores: &str, priority: Priority, command: &Command) -> Command {
    let mut placed = Command::new("taskset");
    // SIGINT stops each of them at once, nginx with its worker.
    placed.args(["-c", cores, "setpriv", "--pdeathsig", "INT"]);
    if priority == Priority::Realtime {
        placed.args(["chrt", "-r", "10"]);
    }
    placed.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    placed
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{Placement, Priority};
    use crate::process;

    #[test]
    fn a_command_is_pinned_and_keeps_its_arguments() {
        let mut command = Command::new("proxy");
        command.arg("-c");
        let shown = |priority| process::shown(&Placement::new(priority).proxy(&command));
        assert_eq!(shown(Priority::Usual), "taskset -c 0 setpriv --pdeathsig INT proxy -c");
        let expected = "taskset -c 0 setpriv --pdeathsig INT chrt -r 10 proxy -c";
        assert_eq!(shown(Priority::Realtime), expected);
    }
}
