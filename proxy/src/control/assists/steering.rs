//! Steering: one program for all groups of listeners, loaded where there is a choice to make.

use std::net::TcpListener;
use std::sync::Weak;

use super::listening::Listening;
use super::{Impossible, Report, State};
use crate::control::config::SteeringConfig;
use crate::kernel::{Assist, Group, LoadSlot, Off, Policy, Probe, Steering};

/// Which worker gets a new connection.
pub(super) struct Steerings {
    on: Option<Box<On>>,
    state: State,
    /// Of a program that was loaded just now.
    slots: Vec<LoadSlot>,
}

impl Default for Steerings {
    fn default() -> Self {
        Self { on: None, state: State::NotAsked("not started"), slots: Vec::new() }
    }
}

/// What a reload is to make of it. Nothing that fails is left to do.
pub(super) enum Plan {
    Off(State),
    On {
        policy: Policy,
        /// None: what is there goes on.
        fresh: Option<Box<On>>,
        how: String,
    },
}

/// The loaded program and the groups that it steers.
pub(super) struct On {
    steering: Steering,
    /// Each with one of its listeners.
    groups: Vec<(Group, Weak<TcpListener>)>,
}

impl Steerings {
    /// Has everything ready for a configuration, and changes nothing for listeners that are served
    /// already.
    pub(super) fn prepare(
        &mut self,
        asked: SteeringConfig,
        listening: &[Listening],
        cpus: &[Option<usize>],
    ) -> Result<Plan, Impossible> {
        let policy = match asked {
            SteeringConfig::Off => {
                return Ok(Plan::Off(State::NotAsked("kernel.steering is off")));
            }
            SteeringConfig::Auto | SteeringConfig::Only(_) if cpus.len() < 2 => {
                return Ok(Plan::Off(State::NotAsked("there is one worker")));
            }
            SteeringConfig::Auto => Policy::LeastLoaded,
            SteeringConfig::Only(policy) => policy,
        };
        let (name, workers, listeners) = (policy.name(), cpus.len(), listening.len());
        let how = format!("{name}; workers: {workers}, listeners: {listeners}");
        match (self.ready(policy, listening, cpus), asked) {
            (Ok(fresh), _) => Ok(Plan::On { policy, fresh, how }),
            (Err(why), SteeringConfig::Auto) => Ok(Plan::Off(State::NotHere(why.to_string()))),
            (Err(why), SteeringConfig::Only(_) | SteeringConfig::Off) => {
                Err(Impossible { key: "kernel.steering", why })
            }
        }
    }

    /// Adds the new listeners to what is there, or all of them to a new program.
    fn ready(
        &mut self,
        policy: Policy,
        listening: &[Listening],
        cpus: &[Option<usize>],
    ) -> Result<Option<Box<On>>, Off> {
        match &mut self.on {
            Some(on) => on.take_in(policy, listening).map(|()| None),
            None => {
                let mut fresh = Box::new(On::load(cpus)?);
                fresh.take_in(policy, listening)?;
                Ok(Some(fresh))
            }
        }
    }

    /// Does what was prepared.
    pub(super) fn apply(&mut self, plan: Plan) {
        let (policy, fresh, how) = match plan {
            Plan::Off(state) => {
                (self.on, self.state) = (None, state);
                return;
            }
            Plan::On { policy, fresh, how } => (policy, fresh, how),
        };
        if let Some(fresh) = fresh {
            self.slots = fresh.steering.load_slots();
            self.on = Some(fresh);
        }
        let set = self.on.as_mut().map(|on| on.steering.set_policy(policy));
        match set.transpose() {
            Ok(_) => self.state = State::On { how, without: Vec::new() },
            // Of an entry that is always there: not seen.
            Err(why) => (self.on, self.state) = (None, State::Off(why.to_string())),
        }
    }

    /// Where each worker is to say how busy it is, if that has changed; once.
    pub(super) fn take_slots(&mut self) -> Vec<LoadSlot> {
        std::mem::take(&mut self.slots)
    }

    pub(super) fn report(&self) -> Report {
        Report { assist: Assist::Steering, state: self.state.clone() }
    }
}

impl On {
    fn load(cpus: &[Option<usize>]) -> Result<Self, Off> {
        if let Some(obstacle) = Probe::of_this_process().obstacle(Assist::Steering) {
            return Err(obstacle);
        }
        let cpus: Vec<Option<u32>> =
            cpus.iter().map(|cpu| cpu.and_then(|cpu| u32::try_from(cpu).ok())).collect();
        Ok(Self { steering: Steering::load(&cpus)?, groups: Vec::new() })
    }

    /// Adds the listeners that it does not have, and forgets those that are closed.
    fn take_in(&mut self, policy: Policy, listening: &[Listening]) -> Result<(), Off> {
        self.steering.check_policy(policy)?;
        for (group, _) in self.groups.extract_if(.., |(_, socket)| socket.strong_count() == 0) {
            self.steering.remove(group);
        }
        for listener in listening {
            let first = listener.first();
            let is_there = self.groups.iter().any(|(_, socket)| socket.ptr_eq(&first));
            if let Some(sockets) = listener.sockets().filter(|_| !is_there) {
                self.groups.push((self.steering.add(&sockets)?, first));
            }
        }
        Ok(())
    }
}

/// The program would hang on the listeners as long as they are open.
impl Drop for On {
    fn drop(&mut self) {
        for socket in self.groups.iter().filter_map(|(_, socket)| socket.upgrade()) {
            // Where it is not attached there is nothing to take off.
            let _: Result<(), Off> = Steering::detach(&socket);
        }
    }
}
