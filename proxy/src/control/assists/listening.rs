//! Listeners and their sockets, which the workers own: for calls on a socket while it is open.

use std::net::TcpListener;
use std::sync::{Arc, Weak};

use super::Sockets;
use crate::control::reload::Bound;

/// A listener and its sockets.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) bound: Bound,
    /// By worker.
    sockets: Vec<Weak<TcpListener>>,
}

impl Listening {
    /// All of them after a start or reload, from the new sockets and those that were there before.
    pub(super) fn after(sockets: Sockets<'_>, before: &[Self]) -> Vec<Self> {
        let listening = |bound: &Bound| {
            let address = bound.listener.address;
            let opened = sockets.opened.iter().flatten().filter(|(of, _)| *of == address);
            let opened: Vec<_> = opened.map(|(_, socket)| Arc::downgrade(socket)).collect();
            let kept = before.iter().find(|one| one.bound.listener.address == address);
            let sockets = match kept {
                Some(kept) if opened.is_empty() => kept.sockets.clone(),
                _ => opened,
            };
            Self { bound: bound.clone(), sockets }
        };
        sockets.bound.iter().map(listening).collect()
    }

    /// The sockets by worker; none where one is closed already.
    pub(super) fn sockets(&self) -> Option<Vec<Arc<TcpListener>>> {
        self.sockets.iter().map(Weak::upgrade).collect()
    }

    /// One of its sockets, by which it can be told from other listeners.
    pub(super) fn first(&self) -> Weak<TcpListener> {
        self.sockets.first().cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::config::ListenerConfig;
    use crate::control::publish::Opened;

    #[test]
    fn sockets_are_those_opened_now_or_before_while_the_workers_have_them() {
        let bound = |address: &str| {
            let listener = ListenerConfig::new("a", address.parse().unwrap());
            Bound { address: listener.address, listener }
        };
        let open = |bound: &Bound| -> Vec<Opened> {
            let socket = || Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
            (0..2).map(|_| vec![(bound.address, socket())]).collect()
        };
        let after = |bound: &[Bound], opened: &[Opened], before: &[Listening]| {
            Listening::after(Sockets { bound, opened, cpus: &[None; 2] }, before)
        };
        let (first, second) = (bound("127.0.0.1:1"), bound("127.0.0.1:2"));
        let of_first = open(&first);
        let before = after(std::slice::from_ref(&first), &of_first, &[]);
        let of_second = open(&second);
        let both = after(&[second, first], &of_second, &before);
        for (listening, opened) in both.iter().zip([&of_second, &of_first]) {
            let sockets = listening.sockets().unwrap();
            assert!(sockets.iter().zip(opened).all(|(one, of)| Arc::ptr_eq(one, &of[0].1)));
            assert!(listening.first().ptr_eq(&Arc::downgrade(&opened[0][0].1)));
        }
        drop(of_first);
        assert!(both[1].sockets().is_none(), "the workers have closed them");
    }
}
