//! The access log: one JSON line a request or connection of a tcp listener, written off the hot path; what does not fit is counted.
//!
//! A worker formats lines into a batch of its own. A full batch goes to the one writer thread by a
//! bounded queue and comes back empty by another, so that nothing is allocated once warm and a
//! slow disk costs lines, never requests.
//!
//! ```text
//! worker: batch --full--> queue --> writer thread --> stdout | file
//!           ^                            |
//!           +---------- empty -----------+          no empty batch left: the line is dropped
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime};

use super::labels::TcpEnd;

pub mod line;

#[cfg(test)]
mod tests;

/// A batch with at least this many bytes is handed to the writer thread.
const BATCH_BYTES: usize = 32 * 1024;
/// Batches of one worker: one being filled, the others on their way.
const BATCHES_PER_WRITER: usize = 4;
/// Room in the queue for the control thread's messages, beside one place for every batch.
const CONTROL_MESSAGES: usize = 8;

/// What one line says. Strings are as received; the writer escapes them.
#[derive(Debug, Clone, Copy)]
pub struct AccessEntry<'a> {
    /// When the request's head was complete, or the connection accepted.
    pub time: SystemTime,
    /// From then until the response's last byte was sent, or the connection ended.
    pub duration: Duration,
    /// The address of the connection's other end.
    pub peer: SocketAddr,
    /// The client's, where that is another and the peer tells of it.
    pub told_client: Option<IpAddr>,
    /// The listener's name.
    pub listener: &'a str,
    /// What its session has agreed on, where it speaks TLS.
    pub tls: Option<TlsEntry<'a>>,
    /// What it is about.
    pub subject: Subject<'a>,
    /// The stable code of a refusal or failure (`auth.expired`, `upstream.timeout`).
    pub reason: Option<&'a str>,
    /// The upstream's name.
    pub upstream: Option<&'a str>,
    /// The endpoint that answered.
    pub endpoint: Option<&'a str>,
    /// Body bytes from the client; of a connection all.
    pub received_bytes: u64,
    /// Body bytes to the client; of a connection all.
    pub sent_bytes: u64,
}

/// What a line says of TLS.
#[derive(Debug, Clone, Copy)]
pub struct TlsEntry<'a> {
    /// Such as `TLSv1.3`.
    pub version: &'static str,
    /// By its name with IANA.
    pub suite: &'static str,
    /// Whether the session was resumed.
    pub is_resumed: bool,
    /// The subject and the SHA-256 of the client's certificate, if it has shown one.
    pub client: Option<(&'a str, &'a str)>,
}

/// What a line is about.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A request.
    Request(RequestEntry<'a>),
    /// A connection of a tcp listener, and how it ended.
    Connection(TcpEnd),
}

/// What a line says of a request alone.
#[derive(Debug, Clone, Copy)]
pub struct RequestEntry<'a> {
    /// The request method, or empty where the head was not understood.
    pub method: &'a str,
    /// The `Host` the client named.
    pub host: &'a str,
    /// The path of the target, without the query.
    pub path: &'a str,
    /// The name that the request goes by in all logs.
    pub id: Option<&'a str>,
    /// The route taken.
    pub route: Option<&'a str>,
    /// The status sent; 0 where the client left before one was.
    pub status: u16,
    /// `pass`, `refuse`, or none where no token was asked for.
    pub verdict: Option<&'a str>,
    /// The token's provider.
    pub provider: Option<&'a str>,
    /// The token's `kid`; untrusted, so escaped and cut.
    pub kid: Option<&'a str>,
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// Appended to this file, which is made with mode 0640 where it is missing.
    File(PathBuf),
}

/// Lines that did not reach the target. Each writer counts in a cell of its own.
#[derive(Debug, Clone)]
pub struct DropCounts {
    /// One a writer: no room.
    writers: Arc<[AtomicU64]>,
    /// Lines in batches that the target refused.
    failed: Arc<AtomicU64>,
}

impl DropCounts {
    fn new(writers: usize) -> Self {
        Self { writers: (0..writers).map(|_| AtomicU64::new(0)).collect(), failed: Arc::default() }
    }

    /// Lines dropped because the writer thread was behind.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.writers.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Lines lost because writing failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

enum Message {
    /// A full batch and which writer it goes back to.
    Batch(Vec<u8>, usize),
    Reopen,
    Finish,
}

/// One worker's end of the access log.
pub struct AccessLogWriter {
    index: usize,
    batch: Vec<u8>,
    full: SyncSender<Message>,
    empty: Receiver<Vec<u8>>,
    drops: DropCounts,
}

impl AccessLogWriter {
    /// Adds one line, or counts it as dropped. Allocates nothing, never blocks.
    pub fn record(&mut self, entry: &AccessEntry<'_>) {
        if self.batch.len() >= BATCH_BYTES {
            self.flush();
        }
        if self.batch.len() >= BATCH_BYTES {
            // The cell is this writer's alone: a plain store loses nothing.
            let dropped = &self.drops.writers[self.index];
            dropped.store(dropped.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            return;
        }
        line::append(&mut self.batch, entry);
    }

    /// Hands over what there is; to be called when the worker goes idle. Where no empty batch has
    /// come back yet, the lines stay for the next call.
    pub fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let Ok(empty) = self.empty.try_recv() else { return };
        let full = std::mem::replace(&mut self.batch, empty);
        // The queue has a place for every batch: this fails only when the writer thread is gone.
        self.hand_over(full);
    }

    fn hand_over(&self, batch: Vec<u8>) {
        if let Err(TrySendError::Full(lost) | TrySendError::Disconnected(lost)) =
            self.full.try_send(Message::Batch(batch, self.index))
            && let Message::Batch(lost, _) = lost
        {
            self.drops.failed.fetch_add(lines_in(&lost), Ordering::Relaxed);
        }
    }
}

impl Drop for AccessLogWriter {
    fn drop(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let rest = std::mem::take(&mut self.batch);
        // No empty batch is needed any more; the queue's spare places may take the last one.
        self.hand_over(rest);
    }
}

impl std::fmt::Debug for AccessLogWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessLogWriter").field("index", &self.index).finish_non_exhaustive()
    }
}

/// The control side of the access log.
#[derive(Debug)]
pub struct AccessLog {
    queue: SyncSender<Message>,
    finished: Receiver<()>,
    drops: DropCounts,
}

impl AccessLog {
    /// Opens the target and starts the writer thread; gives one writer for each worker.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread not be started.
    pub fn start(target: &Target, writers: usize) -> io::Result<(Self, Vec<AccessLogWriter>)> {
        let output = Output::open(target)?;
        let drops = DropCounts::new(writers);
        let (queue, batches) = sync_channel(writers * BATCHES_PER_WRITER + CONTROL_MESSAGES);
        let mut ends = Vec::with_capacity(writers);
        let mut homes = Vec::with_capacity(writers);
        for index in 0..writers {
            let (home, empty) = sync_channel(BATCHES_PER_WRITER);
            for _ in 1..BATCHES_PER_WRITER {
                // Fits: the channel has a place for each batch.
                let _ = home.try_send(new_batch());
            }
            homes.push(home);
            let (full, drops) = (queue.clone(), drops.clone());
            ends.push(AccessLogWriter { index, batch: new_batch(), full, empty, drops });
        }
        let (done, finished) = sync_channel(1);
        let failed = Arc::clone(&drops.failed);
        thread::Builder::new().name("access-log".into()).spawn(move || {
            write_batches(output, &batches, &homes, &failed);
            let _ = done.try_send(());
        })?;
        Ok((Self { queue, finished, drops }, ends))
    }

    /// Opens the file anew, so that a rotated one is let go of.
    pub fn reopen(&self) {
        if self.queue.try_send(Message::Reopen).is_err() {
            tracing::warn!("access log: not reopened, its writer is behind");
        }
    }

    /// How many lines were lost, also later.
    #[must_use]
    pub fn drops(&self) -> DropCounts {
        self.drops.clone()
    }

    /// Waits until everything handed over before is written, but no longer than `patience`: the
    /// target may be a pipe that nobody reads.
    pub fn finish(self, patience: Duration) {
        let sent = self.queue.try_send(Message::Finish).is_ok();
        if sent && !matches!(self.finished.recv_timeout(patience), Err(RecvTimeoutError::Timeout)) {
            return;
        }
        tracing::warn!("access log: the last lines were not written in time");
    }
}

fn new_batch() -> Vec<u8> {
    Vec::with_capacity(BATCH_BYTES + line::BYTES_MAX)
}

/// An open target.
enum Output {
    Stdout(io::Stdout),
    File { file: File, path: PathBuf },
}

impl Output {
    fn open(target: &Target) -> io::Result<Self> {
        match target {
            Target::Stdout => Ok(Self::Stdout(io::stdout())),
            Target::File(path) => Ok(Self::File { file: append_to(path)?, path: path.clone() }),
        }
    }

    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => {
                let mut stdout = stdout.lock();
                stdout.write_all(batch)?;
                stdout.flush()
            }
            Self::File { file, .. } => file.write_all(batch),
        }
    }

    /// Keeps the old file where the new one cannot be opened.
    fn reopen(&mut self) {
        let Self::File { file, path } = self else { return };
        match append_to(path) {
            Ok(new) => *file = new,
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "access log: not reopened");
            }
        }
    }
}

fn lines_in(batch: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', batch).count() as u64
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

/// The writer thread.
fn write_batches(
    mut output: Output,
    batches: &Receiver<Message>,
    homes: &[SyncSender<Vec<u8>>],
    failed: &AtomicU64,
) {
    let mut failing = false;
    while let Ok(message) = batches.recv() {
        let (mut batch, writer) = match message {
            Message::Batch(batch, writer) => (batch, writer),
            Message::Reopen => {
                output.reopen();
                continue;
            }
            Message::Finish => return,
        };
        match output.write(&batch) {
            Ok(()) => failing = false,
            Err(error) => {
                failed.fetch_add(lines_in(&batch), Ordering::Relaxed);
                if !failing {
                    tracing::error!(%error, "access log: lines are being lost");
                }
                failing = true;
            }
        }
        batch.clear();
        // Refused only when the worker is gone.
        let _ = homes[writer].try_send(batch);
    }
}
