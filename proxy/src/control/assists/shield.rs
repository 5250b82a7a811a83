//! The shield: one program, on the interfaces that the configuration names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use ipnet::{IpAddrRange, IpNet, Ipv4AddrRange, Ipv6AddrRange};

use super::{Impossible, Report, Sockets, State};
use crate::control::config::{Config, ShieldConfig};
use crate::kernel::{
    Assist, Attached, BanMode, FrameCounters, Off, Probe, Protection, Shield, Source, XdpChoice,
    XdpMode,
};

const INTERFACES: &str = "kernel.shield.interfaces";
const MODE: &str = "kernel.shield.mode";

/// Addresses and ports that are led to listeners (`listeners[].addresses`) of which the program is
/// told, one by one. What is more is judged when it is accepted.
const LED_MAX: usize = 2048;

/// The program, where it is on.
#[derive(Default)]
pub struct Shielding {
    shield: Option<Shield>,
    /// The interfaces that it is on.
    attached: BTreeMap<Box<str>, Attachment>,
    protection: Protection,
    /// What of the wishes is not fulfilled, with the reason.
    without: Vec<String>,
    /// Why it is off, where it was asked for.
    off: Option<String>,
}

/// How it is on an interface.
#[derive(Debug, Clone)]
struct Attachment {
    mode: XdpMode,
    /// Why not in native mode.
    fallback: Option<String>,
}

impl Shielding {
    pub(super) fn start(config: &Config, sockets: Sockets<'_>) -> Result<Self, Impossible> {
        let mut this = Self::default();
        this.follow(config, sockets)?;
        Ok(this)
    }

    /// Makes it what a configuration asks for.
    pub(super) fn follow(
        &mut self,
        config: &Config,
        sockets: Sockets<'_>,
    ) -> Result<(), Impossible> {
        let wanted = config.kernel.shield.as_ref().filter(|wanted| !wanted.interfaces.is_empty());
        let Some(wanted) = wanted else {
            *self = Self::default();
            return Ok(());
        };
        match self.try_follow(wanted, sockets) {
            Ok(()) => Ok(()),
            Err(impossible) => match wanted.mode {
                XdpChoice::Only(_) => Err(impossible),
                XdpChoice::Auto => {
                    *self = Self { off: Some(impossible.why.to_string()), ..Self::default() };
                    Ok(())
                }
            },
        }
    }

    /// As it is before, where it fails.
    fn try_follow(
        &mut self,
        wanted: &ShieldConfig,
        sockets: Sockets<'_>,
    ) -> Result<(), Impossible> {
        let mut shield = match self.shield.take() {
            Some(shield) => shield,
            None => load().map_err(|why| Impossible { key: MODE, why })?,
        };
        let (protection, more) = protection(wanted, sockets);
        let mut attaching = Attaching::new(&mut shield, &self.attached);
        let attached = attaching.all(wanted).and_then(|without| {
            attaching.protect(&protection, &self.protection)?;
            Ok(without)
        });
        match attached {
            Ok(without) => {
                self.attached = attaching.finish(wanted);
                self.without = without;
                self.without.extend(more);
                self.protection = protection;
                self.off = None;
                self.shield = Some(shield);
                Ok(())
            }
            Err(impossible) => {
                attaching.undo();
                self.shield = (!self.attached.is_empty()).then_some(shield);
                Err(impossible)
            }
        }
    }

    /// Bans a source, where the program is on.
    pub fn ban(&mut self, source: Source, lifetime: Duration, mode: BanMode) {
        if let Some(shield) = &mut self.shield
            && let Err(error) = shield.ban(source, lifetime, mode)
        {
            tracing::warn!(%error, "a ban holds in user space only");
        }
    }

    /// Ends a ban.
    pub fn lift(&mut self, source: Source) {
        if let Some(shield) = &mut self.shield {
            shield.lift(source);
        }
    }

    /// Has the log tell whom the program dropped, where it takes debug lines.
    pub fn log_drops(&mut self) {
        if let Some(Err(why)) = self.shield.as_mut().map(Shield::log_drops) {
            tracing::debug!(%why, "cannot tell how many frames were dropped");
        }
    }

    /// Where the program counts, if it is on.
    pub(super) fn counters(&self) -> Option<FrameCounters> {
        self.shield.as_ref().map(Shield::frame_counters)
    }

    pub(super) fn report(&self) -> Report {
        let state = if let Some(why) = &self.off {
            State::Off(why.clone())
        } else if self.attached.is_empty() {
            State::NotAsked("kernel.shield names no interfaces")
        } else {
            let modes = self.attached.iter();
            let modes = modes.map(|(name, attached)| format!("{} on {name}", attached.mode.name()));
            let fallbacks = self.attached.values().filter_map(|attached| attached.fallback.clone());
            State::On {
                how: modes.collect::<Vec<_>>().join(", "),
                without: fallbacks.chain(self.without.iter().cloned()).collect(),
            }
        };
        Report { assist: Assist::Shield, state }
    }
}

fn load() -> Result<Shield, Off> {
    Probe::of_this_process().obstacle(Assist::Shield).map_or_else(Shield::load, Err)
}

/// The interfaces on their way from one configuration to the next.
struct Attaching<'a> {
    shield: &'a mut Shield,
    before: &'a BTreeMap<Box<str>, Attachment>,
    /// Put on since; those that were on in another mode are among them.
    fresh: BTreeMap<Box<str>, Attachment>,
}

impl<'a> Attaching<'a> {
    fn new(shield: &'a mut Shield, before: &'a BTreeMap<Box<str>, Attachment>) -> Self {
        Self { shield, before, fresh: BTreeMap::new() }
    }

    /// Puts the program where it is not yet as wanted. Returns where it cannot be put, which is an
    /// error where that is nowhere or the mode is asked for by name.
    fn all(&mut self, wanted: &ShieldConfig) -> Result<Vec<String>, Impossible> {
        let mut failed = Vec::new();
        for name in &wanted.interfaces {
            let there = self.before.get(name).filter(|_| self.shield.is_on(name));
            if there.is_some_and(|there| fits(there.mode, wanted.mode)) {
                continue;
            }
            // In another mode, or on an interface that had this name before.
            self.shield.detach(name);
            match self.shield.attach(name, wanted.mode) {
                Ok(Attached { mode, fallback }) => {
                    let fallback = fallback.map(|off| format!("native mode: {off}"));
                    self.fresh.insert(name.clone(), Attachment { mode, fallback });
                }
                Err(why) => failed.push((name, why)),
            }
        }
        let nowhere = failed.len() == wanted.interfaces.len();
        if (nowhere || wanted.mode != XdpChoice::Auto)
            && let Some((_, why)) = failed.pop()
        {
            let key = if matches!(why, Off::NoInterface(_)) { INTERFACES } else { MODE };
            return Err(Impossible { key, why });
        }
        Ok(failed.into_iter().map(|(name, why)| format!("{name}: {why}")).collect())
    }

    fn protect(&mut self, new: &Protection, old: &Protection) -> Result<(), Impossible> {
        self.shield.protect(new).map_err(|why| {
            // What was refused half-way is taken back; it had room before.
            if let Err(error) = self.shield.protect(old) {
                tracing::error!(%error, "the shield's former lists are not whole");
            }
            Impossible { key: "kernel.shield", why }
        })
    }

    /// Takes the program off where it is not wanted any more; returns where it is.
    fn finish(self, wanted: &ShieldConfig) -> BTreeMap<Box<str>, Attachment> {
        let mut now = self.fresh;
        for (name, attached) in self.before {
            if !wanted.interfaces.contains(name) {
                self.shield.detach(name);
            } else if self.shield.is_on(name) && !now.contains_key(name) {
                now.insert(name.clone(), attached.clone());
            }
        }
        now
    }

    /// Puts the program back to where it was.
    fn undo(self) {
        for name in self.fresh.keys() {
            self.shield.detach(name);
        }
        let there: BTreeSet<String> = self.shield.interfaces().map(str::to_owned).collect();
        for (name, attached) in self.before.iter().filter(|(name, _)| !there.contains(&***name)) {
            if let Err(error) = self.shield.attach(name, XdpChoice::Only(attached.mode)) {
                tracing::error!(%error, "the shield has left an interface");
            }
        }
    }
}

fn fits(mode: XdpMode, choice: XdpChoice) -> bool {
    match choice {
        XdpChoice::Auto => true,
        XdpChoice::Only(only) => mode == only,
    }
}

/// What the program is to know, and what of that is too much for it.
fn protection(wanted: &ShieldConfig, sockets: Sockets<'_>) -> (Protection, Option<String>) {
    let all_led = sockets.bound.iter().flat_map(|bound| &bound.listener.led);
    let mut led = all_led.flat_map(|led| {
        let ports = led.ports.clone();
        let each = move |address| ports.clone().map(move |port| SocketAddr::new(address, port));
        addresses(led.addresses).flat_map(each)
    });
    let mut listeners: BTreeSet<_> = led.by_ref().take(LED_MAX).collect();
    let more = led.next().map(|first| {
        format!("{first} and what follows it of listeners[].addresses: the first {LED_MAX} count")
    });
    listeners.extend(sockets.bound.iter().map(|bound| bound.address));
    let ShieldConfig { deny, allow, trusted, syn_rate, .. } = wanted;
    let (deny, allow, trusted) = (deny.clone(), allow.clone(), trusted.clone());
    (Protection { listeners, deny, allow, trusted, syn_rate: *syn_rate }, more)
}

/// All of them, the first and the last, too.
fn addresses(prefix: IpNet) -> IpAddrRange {
    match prefix {
        IpNet::V4(net) => Ipv4AddrRange::new(net.network(), net.broadcast()).into(),
        IpNet::V6(net) => Ipv6AddrRange::new(net.network(), net.broadcast()).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::config::{ListenerConfig, parse};
    use crate::control::reload::Bound;

    fn config(addresses: &str) -> Config {
        let text = format!(
            r#"{{"listeners": [{{"name": "a", "address": "127.0.0.1:80", "addresses": [{addresses}]}}],
                "kernel": {{"shield": {{"interfaces": ["eth0"]}}}},
                "routes": [{{"match": {{}}, "respond": {{"status": 204}}}}]}}"#
        );
        parse(&text, std::path::Path::new("test.json")).unwrap()
    }

    fn protection_of(config: &Config) -> (Protection, Option<String>) {
        let bound = |listener: &ListenerConfig| Bound {
            listener: listener.clone(),
            address: listener.address,
        };
        let bound: Vec<Bound> = config.listeners.iter().map(bound).collect();
        let sockets = Sockets { bound: &bound, opened: &[], cpus: &[] };
        protection(config.kernel.shield.as_ref().unwrap(), sockets)
    }

    #[test]
    fn addresses_that_are_led_to_a_listener_are_protected_one_by_one() {
        let (found, more) = protection_of(&config(r#""10.0.0.0/31:80-81", "[2001:db8::1]:443""#));
        let expected = [
            "10.0.0.0:80",
            "10.0.0.0:81",
            "10.0.0.1:80",
            "10.0.0.1:81",
            "127.0.0.1:80",
            "[2001:db8::1]:443",
        ];
        let found: Vec<String> = found.listeners.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
        assert_eq!(more, None);
    }

    #[test]
    fn too_many_of_them_are_told_and_the_listener_s_own_is_always_protected() {
        let (found, more) = protection_of(&config(r#""10.0.0.0/24:8000-8099""#));
        assert_eq!(found.listeners.len(), LED_MAX + 1);
        assert!(found.listeners.contains(&"127.0.0.1:80".parse().unwrap()));
        let expected =
            "10.0.0.20:8048 and what follows it of listeners[].addresses: the first 2048 count";
        assert_eq!(more.as_deref(), Some(expected));
    }
}
