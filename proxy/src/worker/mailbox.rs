//! How the control thread reaches a worker: a queue of commands and a bell.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::parking::KeyLookup;
use crate::kernel::LoadSlot;
use crate::snapshot::Snapshot;
use crate::snapshot::peers::BanList;
use crate::uring::{Bell, StartError, event};

/// What a worker can be told.
#[derive(Debug)]
pub(super) enum Command {
    /// Judge by this from now on.
    Publish {
        /// The new snapshot.
        snapshot: Arc<Snapshot>,
        /// Sockets for the listeners that are new in it.
        opened: Vec<(SocketAddr, Arc<TcpListener>)>,
    },
    /// Refuse these sources from now on, and no others.
    Ban(Arc<BanList>),
    /// Say here from now on how busy you are.
    ShowLoad(LoadSlot),
    /// The worker's question after the keys of a provider has been answered.
    KeysChecked {
        /// Its name.
        provider: Box<str>,
        /// How.
        lookup: KeyLookup,
    },
    /// Finish.
    Drain {
        /// When to cut what has not finished by itself.
        within: Duration,
    },
}

/// The control thread's end.
#[derive(Debug)]
pub(super) struct Sender {
    queue: mpsc::Sender<Command>,
    bell: Bell,
}

/// The worker's end, still to be put on its ring.
#[derive(Debug)]
pub(super) struct Mailbox {
    pub(super) queue: mpsc::Receiver<Command>,
    pub(super) event: OwnedFd,
}

/// Both ends.
pub(super) fn mailbox() -> Result<(Sender, Mailbox), StartError> {
    let (bell, event) = event()?;
    let (sender, receiver) = mpsc::channel();
    Ok((Sender { queue: sender, bell }, Mailbox { queue: receiver, event }))
}

impl Sender {
    /// Queues a command and wakes the worker. One that has ended needs none.
    pub(super) fn send(&self, command: Command) {
        if self.queue.send(command).is_ok() {
            self.bell.ring();
        }
    }
}
