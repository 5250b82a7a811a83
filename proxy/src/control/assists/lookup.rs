//! Lookup: one program that leads addresses and ports nobody has bound to the listeners.

use std::net::TcpListener;
use std::sync::Weak;

use super::listening::Listening;
use super::{Impossible, Report, State};
use crate::control::config::Led;
use crate::kernel::{Assist, Lookup, Off, Probe, Range, Ranges};

/// What leads to which listener.
pub(super) struct Lookups {
    on: Option<Box<On>>,
    state: State,
}

impl Default for Lookups {
    fn default() -> Self {
        Self { on: None, state: State::NotAsked("not started") }
    }
}

/// What a reload is to make of it.
pub(super) enum Plan {
    Off,
    On {
        /// None: what is there goes on.
        fresh: Option<Box<On>>,
        ranges: Ranges,
        how: String,
    },
}

/// The attached program.
pub(super) struct On {
    lookup: Lookup,
    /// Each with one socket of its listener; free again when that is closed.
    places: Vec<Weak<TcpListener>>,
}

impl Lookups {
    /// Has everything ready to lead as these listeners are configured, and leads nothing elsewhere
    /// yet.
    pub(super) fn prepare(&mut self, listening: &[Listening]) -> Result<Plan, Impossible> {
        let is_led = |listener: &&Listening| !listener.bound.listener.led.is_empty();
        let led: Vec<&Listening> = listening.iter().filter(is_led).collect();
        if led.is_empty() {
            return Ok(Plan::Off);
        }
        self.ready(&led).map_err(|why| Impossible { key: "listeners[].addresses", why })
    }

    fn ready(&mut self, led: &[&Listening]) -> Result<Plan, Off> {
        let mut fresh = None;
        let on = match &mut self.on {
            Some(on) => on,
            None => fresh.insert(Box::new(On::attach()?)),
        };
        let ranges = on.ranges(led)?;
        let how = format!("ranges: {}, listeners: {}", ranges.len(), led.len());
        Ok(Plan::On { fresh, ranges: Ranges::new(&ranges)?, how })
    }

    /// Does what was prepared.
    pub(super) fn apply(&mut self, plan: Plan) {
        let (fresh, ranges, how) = match plan {
            Plan::Off => {
                (self.on, self.state) = (None, State::NotAsked("no listener has addresses"));
                return;
            }
            Plan::On { fresh, ranges, how } => (fresh, ranges, how),
        };
        self.on = fresh.or_else(|| self.on.take());
        let led = self.on.as_mut().map(|on| on.lookup.lead(&ranges));
        // There is room for them; what is left is a kernel without memory.
        let without = led.and_then(Result::err).map(|why| format!("some ranges: {why}"));
        self.state = State::On { how, without: without.into_iter().collect() };
    }

    pub(super) fn report(&self) -> Report {
        Report { assist: Assist::Lookup, state: self.state.clone() }
    }
}

impl On {
    /// Leads nowhere yet.
    fn attach() -> Result<Self, Off> {
        if let Some(obstacle) = Probe::of_this_process().obstacle(Assist::Lookup) {
            return Err(obstacle);
        }
        let mut lookup = Lookup::load()?;
        lookup.attach()?;
        Ok(Self { lookup, places: Vec::new() })
    }

    /// The ranges of these listeners, each of which has a place then.
    fn ranges(&mut self, led: &[&Listening]) -> Result<Vec<Range>, Off> {
        let mut ranges = Vec::new();
        for listener in led {
            let place = self.place(listener)?;
            let range = |led: &Led| Range {
                addresses: led.addresses,
                ports: led.ports.clone(),
                listener: place,
            };
            ranges.extend(listener.bound.listener.led.iter().map(range));
        }
        Ok(ranges)
    }

    /// The place of a listener. A free one has no ranges: those went when its listener was taken out
    /// of the configuration, before it was closed.
    fn place(&mut self, listener: &Listening) -> Result<u32, Off> {
        let first = listener.first();
        let there = self.places.iter().position(|place| place.ptr_eq(&first));
        let free = || self.places.iter().position(|place| place.strong_count() == 0);
        let place = there.or_else(free).unwrap_or(self.places.len());
        if place >= Lookup::PLACES {
            let (what, max) =
                ("listeners with addresses before and after a reload", Lookup::PLACES);
            return Err(Off::TooMany { what, count: place + 1, max });
        }
        let number = u32::try_from(place).unwrap_or(u32::MAX);
        if let Some(socket) = first.upgrade().filter(|_| there.is_none()) {
            self.lookup.set_listener(number, &socket)?;
            match self.places.get_mut(place) {
                Some(freed) => *freed = first,
                None => self.places.push(first),
            }
        }
        Ok(number)
    }
}
