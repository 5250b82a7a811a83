//! Writes last good texts to disk on a thread of its own: a slow disk delays no keys.
//!
//! What waits is bounded by the number of sources: of one source, only the newest is written.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::last_good::LastGood;

/// How long the end of the process waits for the disk.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// The way to the thread, which ends with it.
#[derive(Debug)]
pub(super) struct Keeper {
    disk: LastGood,
    queue: Arc<Queue>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
}

/// The text of a source.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct KeptAs {
    /// Its place, as the file is named after.
    pub(super) place: String,
    /// The source, as the log names it.
    pub(super) shown: String,
}

/// What is to be done about a text.
#[derive(Debug)]
enum Task {
    /// Put it in place of the one before.
    Keep(Box<[u8]>),
    /// Note that it is good still.
    Confirm,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    of_source: HashMap<KeptAs, Task>,
    closed: bool,
}

impl Keeper {
    pub(super) fn start(disk: LastGood) -> io::Result<Self> {
        let queue = Arc::<Queue>::default();
        let (end, ended) = channel();
        let writer = Writer { disk: disk.clone(), outdated: HashSet::new() };
        let tasks = Arc::clone(&queue);
        thread::Builder::new().name("last-good".into()).spawn(move || writer.run(&tasks, end))?;
        Ok(Self { disk, queue, ended })
    }

    /// Where it writes, to read from.
    pub(super) fn disk(&self) -> &LastGood {
        &self.disk
    }

    /// Has a text kept, in place of the one before.
    pub(super) fn keep(&self, text: KeptAs, body: &[u8]) {
        self.queue.lock().of_source.insert(text, Task::Keep(body.into()));
        self.queue.changed.notify_one();
    }

    /// Has it noted that the text is good still.
    pub(super) fn confirm(&self, text: KeptAs) {
        // A text that has not been written yet gets the time of when it is.
        self.queue.lock().of_source.entry(text).or_insert(Task::Confirm);
        self.queue.changed.notify_one();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.changed.notify_one();
        let _ = self.ended.recv_timeout(END_PATIENCE);
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next task; none where there will be no more.
    fn next(&self) -> Option<(KeptAs, Task)> {
        let idle = |waiting: &mut Waiting| waiting.of_source.is_empty() && !waiting.closed;
        let waited = self.changed.wait_while(self.lock(), idle);
        let mut waiting = waited.unwrap_or_else(PoisonError::into_inner);
        let text = waiting.of_source.keys().next()?.clone();
        waiting.of_source.remove_entry(&text)
    }
}

/// What the thread knows.
struct Writer {
    disk: LastGood,
    /// Texts of which an older one is on disk: nobody has confirmed that.
    outdated: HashSet<KeptAs>,
}

impl Writer {
    /// `_end` goes with the thread.
    fn run(mut self, queue: &Queue, _end: Sender<()>) {
        while let Some((text, task)) = queue.next() {
            self.write(text, &task);
        }
    }

    fn write(&mut self, text: KeptAs, task: &Task) {
        let written = match task {
            Task::Keep(body) => self.disk.keep(&text.place, body),
            Task::Confirm if self.outdated.contains(&text) => return,
            Task::Confirm => self.disk.confirm(&text.place),
        };
        match written {
            Ok(()) => drop(self.outdated.remove(&text)),
            Err(error) => {
                tracing::warn!(source = %text.shown, %error, "last good keys not kept");
                self.outdated.insert(text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::SystemTime;

    use super::*;

    fn text(place: &str) -> KeptAs {
        KeptAs { place: place.into(), shown: String::new() }
    }

    fn disk(folder: &std::path::Path) -> LastGood {
        LastGood::new(folder.to_owned(), "jwks", 100)
    }

    #[test]
    fn what_waits_at_the_end_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = Keeper::start(disk(folder.path())).unwrap();
        keeper.keep(text("a"), b"one");
        keeper.keep(text("b"), b"two");
        keeper.keep(text("a"), b"three");
        drop(keeper);
        let disk = disk(folder.path());
        assert_eq!(disk.load("a").unwrap().0, b"three");
        assert_eq!(disk.load("b").unwrap().0, b"two");
    }

    #[test]
    fn of_one_source_the_newest_waits_alone() {
        let queue = Arc::<Queue>::default();
        let (_end, ended) = channel();
        let folder = tempfile::tempdir().unwrap();
        let keeper = Keeper { disk: disk(folder.path()), queue: Arc::clone(&queue), ended };
        keeper.confirm(text("a"));
        keeper.keep(text("a"), b"one");
        keeper.keep(text("a"), b"two");
        keeper.confirm(text("a"));
        let (of, task) = queue.next().unwrap();
        assert_eq!(of, text("a"));
        assert!(matches!(task, Task::Keep(body) if *body == *b"two"));
        queue.lock().closed = true;
        assert!(queue.next().is_none());
    }

    #[test]
    fn a_text_that_was_not_written_confirms_no_older_one() {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk(folder.path());
        disk.keep("a", b"old").unwrap();
        let file = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let old = fs::File::options().write(true).open(&file).unwrap();
        old.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        // A directory in its place cannot be removed like the file that it should be.
        fs::create_dir(file.with_extension("next")).unwrap();
        let mut writer = Writer { disk: disk.clone(), outdated: HashSet::new() };
        writer.write(text("a"), &Task::Keep(b"new"[..].into()));
        writer.write(text("a"), &Task::Confirm);
        assert_eq!(disk.load("a").unwrap(), (b"old".to_vec(), SystemTime::UNIX_EPOCH));
        fs::remove_dir(file.with_extension("next")).unwrap();
        writer.write(text("a"), &Task::Keep(b"new"[..].into()));
        assert_eq!(disk.load("a").unwrap().0, b"new");
    }
}
