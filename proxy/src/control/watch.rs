//! Files watched by inotify: who reads one is told within moments that it is another now.
//!
//! What is watched are directories, because a file is replaced by a rename over it, and in a mounted
//! ConfigMap by a symbolic link beside it that is swapped: every place is watched whose change alters
//! where the file's path leads. Where a part of the path is missing, its place is.
//!
//! Where the kernel has no inotify left, a warning says so once and the files are looked at instead.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf, absolute};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::event::Event;
use super::jwks::fingerprint::Fingerprint;
use crate::uring::{Bell, event};

#[cfg(test)]
mod tests;

/// How often a watched file is looked at all the same: a directory above may have been renamed.
const SELDOM: Duration = Duration::from_secs(30);
/// How often where nothing is watched.
const OFTEN: Duration = Duration::from_secs(2);
/// The kernel gives up on a path after 40 links.
const LINKS_MAX: usize = 40;
/// Directories may change while they are being watched; then the watches are set again.
const ATTEMPTS: usize = 8;
const BUFFER_BYTES: usize = 16 * 1024;

/// The way to the watching thread.
#[derive(Debug)]
pub struct Watcher {
    thread: Option<(Sender<Vec<PathBuf>>, Bell)>,
    works: Arc<AtomicBool>,
}

impl Watcher {
    /// Starts the thread; a change of a file comes as an [`Event::FileChanged`].
    #[must_use]
    pub fn start(events: Sender<Event>) -> Self {
        let works = Arc::new(AtomicBool::new(true));
        let shared = Arc::clone(&works);
        let started = || -> io::Result<_> {
            let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            let (bell, woken) = event()?;
            let (sender, wanted) = channel();
            let watch = Watch::new(inotify, shared, events);
            thread::Builder::new()
                .name("watch".into())
                .spawn(move || watch.run(&wanted, &woken))?;
            Ok((sender, bell))
        };
        let thread = started();
        if let Err(error) = &thread {
            works.store(false, Ordering::Relaxed);
            warn(&error.to_string());
        }
        Self { thread: thread.ok(), works }
    }

    /// Watches these files from now on, and no others.
    pub fn watch(&self, files: Vec<PathBuf>) {
        if let Some((wanted, bell)) = &self.thread
            && wanted.send(files).is_ok()
        {
            bell.ring();
        }
    }

    /// How often a file should be looked at besides.
    #[must_use]
    pub fn look_every(&self) -> Duration {
        if self.works.load(Ordering::Relaxed) { SELDOM } else { OFTEN }
    }
}

fn warn(error: &str) {
    tracing::warn!(%error, every = ?OFTEN, "files cannot be watched and are looked at instead");
}

/// A name in a directory: its change alters where a path leads.
type Place = (PathBuf, OsString);

/// A file and what was seen of it last.
#[derive(Default)]
struct Watched {
    places: BTreeSet<Place>,
    seen: Option<Fingerprint>,
}

/// The thread's state.
struct Watch {
    inotify: OwnedFd,
    works: Arc<AtomicBool>,
    events: Sender<Event>,
    /// By the path as it was asked for.
    files: BTreeMap<PathBuf, Watched>,
    /// The directory of each watch. Two paths to one directory have the same watch.
    directories: HashMap<i32, BTreeSet<PathBuf>>,
}

/// What the kernel tells of a directory.
struct Change {
    watch: i32,
    /// None: of the directory itself.
    name: Option<OsString>,
    /// Something was made here: a file may not be whole yet.
    made: bool,
}

impl Watch {
    fn new(inotify: OwnedFd, works: Arc<AtomicBool>, events: Sender<Event>) -> Self {
        let (files, directories) = (BTreeMap::new(), HashMap::new());
        Self { inotify, works, events, files, directories }
    }

    /// Until nobody wants anything any more.
    fn run(mut self, wanted: &Receiver<Vec<PathBuf>>, woken: &OwnedFd) {
        let mut bytes = [MaybeUninit::uninit(); BUFFER_BYTES];
        loop {
            let mut fds =
                [PollFd::new(&self.inotify, PollFlags::IN), PollFd::new(woken, PollFlags::IN)];
            let wait = Timespec { tv_sec: SELDOM.as_secs().cast_signed(), tv_nsec: 0 };
            match poll(&mut fds, Some(&wait)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return self.give_up(error),
            }
            let _ = rustix::io::read(woken, &mut [0_u8; 8]);
            loop {
                match wanted.try_recv() {
                    Ok(files) => self.want(files),
                    Err(std::sync::mpsc::TryRecvError::Empty) => break,
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
                }
            }
            match self.changes(&mut bytes) {
                Ok(changes) => self.take(&changes),
                Err(error) => return self.give_up(error),
            }
        }
    }

    fn give_up(&self, error: Errno) {
        if self.works.swap(false, Ordering::Relaxed) {
            warn(&error.to_string());
        }
    }

    /// A new one is told of at once: it may have changed since it was read.
    fn want(&mut self, files: Vec<PathBuf>) {
        let mut old = std::mem::take(&mut self.files);
        for path in files {
            let watched = old.remove(&path).unwrap_or_default();
            self.files.insert(path, watched);
        }
        let new = self.plan();
        self.tell(&new);
    }

    /// What has happened since the last look; the kernel's queue may have run over, and then
    /// anything may.
    fn changes(&self, bytes: &mut [MaybeUninit<u8>]) -> Result<Vec<Change>, Errno> {
        let mut changes = Vec::new();
        let mut reader = Reader::new(&self.inotify, bytes);
        loop {
            let change = match reader.next() {
                Ok(event) => Change {
                    watch: event.wd(),
                    name: event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()).into()),
                    made: event.events().contains(ReadFlags::CREATE),
                },
                Err(Errno::AGAIN) => return Ok(changes),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error),
            };
            changes.push(change);
        }
    }

    fn take(&mut self, changes: &[Change]) {
        let mut concerned: BTreeSet<PathBuf> = BTreeSet::new();
        for change in changes {
            let directories = self.directories.get(&change.watch);
            let is_here = |place: &Place| match (directories, &change.name) {
                (Some(directories), Some(name)) => {
                    directories.contains(&place.0) && place.1 == *name
                }
                (Some(directories), None) => directories.contains(&place.0),
                // The queue ran over; of a watch that was taken away nothing matters any more.
                (None, _) => change.watch < 0,
            };
            for (path, watched) in &self.files {
                if watched.places.iter().any(is_here) && !(change.made && is_plain(path)) {
                    concerned.insert(path.clone());
                }
            }
        }
        concerned.extend(self.plan());
        self.tell(&concerned);
    }

    /// Watches what the paths lead over now; returns the files of which that is another way.
    fn plan(&mut self) -> BTreeSet<PathBuf> {
        let mut moved = BTreeSet::new();
        for _ in 0..ATTEMPTS {
            let mut stable = true;
            for (path, watched) in &mut self.files {
                let places = places(path);
                if watched.places != places {
                    watched.places = places;
                    moved.insert(path.clone());
                    stable = false;
                }
            }
            let new = self.watch_directories();
            // Another directory by the same path may hold another file by the same name.
            for (path, watched) in &self.files {
                if watched.places.iter().any(|(directory, _)| new.contains(directory)) {
                    moved.insert(path.clone());
                }
            }
            if new.is_empty() && stable {
                break;
            }
        }
        moved
    }

    /// Sets the watches of all places and takes the others away; returns the directories of new ones.
    fn watch_directories(&mut self) -> BTreeSet<PathBuf> {
        let mut wanted: HashMap<i32, BTreeSet<PathBuf>> = HashMap::new();
        let all = self.files.values().flat_map(|watched| &watched.places);
        let directories: BTreeSet<&PathBuf> = all.map(|(directory, _)| directory).collect();
        let flags = WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        for directory in directories {
            match inotify::add_watch(&self.inotify, directory, flags) {
                Ok(watch) => {
                    wanted.entry(watch).or_default().insert(directory.clone());
                }
                // Gone since: the next attempt watches what is above.
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(error) => self.give_up(error),
            }
        }
        let new = wanted.iter().filter(|(watch, _)| !self.directories.contains_key(watch));
        let new = new.flat_map(|(_, directories)| directories.clone()).collect();
        for watch in self.directories.keys().filter(|watch| !wanted.contains_key(watch)) {
            // The kernel has removed that of a directory that is gone.
            let _ = inotify::remove_watch(&self.inotify, *watch);
        }
        self.directories = wanted;
        new
    }

    /// Tells of those that are there and are others than before.
    fn tell(&mut self, concerned: &BTreeSet<PathBuf>) {
        for path in concerned {
            let (Some(watched), Ok(now)) = (self.files.get_mut(path), Fingerprint::of(path)) else {
                continue;
            };
            if watched.seen.as_ref() != Some(&now) {
                watched.seen = Some(now);
                // The control thread may have ended.
                let _ = self.events.send(Event::FileChanged { path: path.clone() });
            }
        }
    }
}

/// Whether the path is that of a file itself, which is whole once it has been closed.
fn is_plain(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_file())
}

/// Every place that decides where a path leads: that of the file, of each symbolic link on the way
/// and what these lead over, up to the first that is missing.
fn places(path: &Path) -> BTreeSet<Place> {
    let mut places = BTreeSet::new();
    let Ok(path) = absolute(path) else { return places };
    let mut rest: Vec<OsString> = names(&path);
    let mut at = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&name);
        let metadata = next.symlink_metadata();
        let target = match &metadata {
            Ok(metadata) if metadata.is_symlink() => next.read_link().ok(),
            _ => None,
        };
        if metadata.is_err() || target.is_some() || rest.is_empty() {
            places.insert((at.clone(), name));
        }
        match target {
            Some(target) => {
                links += 1;
                if links > LINKS_MAX {
                    break;
                }
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                rest.extend(names(&target));
            }
            None if metadata.is_err() => break,
            None => at = next,
        }
    }
    places
}

/// The names of a path, the last one first.
fn names(path: &Path) -> Vec<OsString> {
    let names = path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    names.collect()
}
