//! A worker's worth of tunnels without a gateway: a ring on a thread, and sockets on both sides.

use std::cell::Cell;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use ringgate::kernel::{Assist, Splice};
use ringgate::relay::{Pipes, Pools, Splicer, Tunnel, TunnelEnd, Ways, tunnel};
use ringgate::uring::wheel::{TICK, Wheel};
use ringgate::uring::{Bell, BufferPool, Event, Stream, block_on, event, sleep};
use tokio::sync::oneshot;

use crate::harness::deadline::{PATIENCE, told, wait_until};
use crate::kernel::possible;

const SMALL: usize = 20 * 1024;
const LARGE: usize = 256 * 1024;
const FLOWS_MAX: u32 = 2048;

/// What a tunnel may use beside copying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Copy,
    Pipe,
    Kernel,
}

impl Way {
    /// Those that this process may use.
    pub fn all(test: &str) -> Vec<Self> {
        let mut all = vec![Self::Copy, Self::Pipe];
        all.extend(possible(test, Assist::Splice).then_some(Self::Kernel));
        all
    }
}

/// How long a tunnel may be idle, and when it is cut.
pub struct Limits {
    pub idle: Duration,
    pub cut: Option<oneshot::Receiver<()>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { idle: PATIENCE * 10, cut: None }
    }
}

/// How a tunnel went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    pub end: TunnelEnd,
    pub to_client: u64,
    pub to_upstream: u64,
}

/// A tunnel that runs, with what is at its two ends.
pub struct Pair {
    pub client: TcpStream,
    pub server: TcpStream,
    outcome: Receiver<Outcome>,
}

impl Pair {
    #[track_caller]
    pub fn outcome(&self) -> Outcome {
        told(&self.outcome)
    }
}

struct Job {
    client: OwnedFd,
    upstream: OwnedFd,
    limits: Limits,
    outcome: Sender<Outcome>,
}

/// What the worker used by the end.
#[derive(Debug, Default, Clone, Copy)]
pub struct Used {
    pub buffers: usize,
    pub pipes: usize,
    pub through_pipes: u64,
    pub flows: u64,
}

/// The ring.
pub struct Rig {
    way: Way,
    /// Flows that the kernel ever had, as of the last tick.
    flows: Arc<AtomicU64>,
    jobs: Option<Sender<Job>>,
    bell: Bell,
    thread: Option<JoinHandle<Used>>,
}

impl Rig {
    pub fn start(way: Way) -> Self {
        let (bell, waiting) = event().unwrap();
        let (jobs, received) = mpsc::channel();
        let splice = (way == Way::Kernel).then(|| Splice::load(FLOWS_MAX).unwrap());
        let flows = Arc::new(AtomicU64::new(0));
        let worker = Worker::prepare(way, Arc::clone(&flows));
        let thread = std::thread::Builder::new().name("tunnels".into());
        let thread = thread
            .spawn(move || {
                let worker = worker(splice);
                block_on(worker.serve(Event::new(waiting), received)).unwrap()
            })
            .unwrap();
        Self { way, flows, jobs: Some(jobs), bell, thread: Some(thread) }
    }

    /// Opens a tunnel.
    pub fn open(&self, limits: Limits) -> Pair {
        let ((client, front), (server, back)) = (connection(), connection());
        self.lead(client, front, server, back, limits)
    }

    /// A tunnel between sockets that are there already.
    pub fn lead(
        &self,
        client: TcpStream,
        front: TcpStream,
        server: TcpStream,
        back: TcpStream,
        limits: Limits,
    ) -> Pair {
        let (outcome, told) = mpsc::channel();
        let job = Job { client: front.into(), upstream: back.into(), limits, outcome };
        self.jobs.as_ref().unwrap().send(job).unwrap();
        self.bell.ring();
        Pair { client, server, outcome: told }
    }

    /// Waits until the kernel has had so many flows, where it has any.
    pub fn wait_for_flows(&self, count: u64) {
        if self.way == Way::Kernel {
            wait_until("flows", || (self.flows.load(Ordering::Relaxed) >= count).then_some(()));
        }
    }

    /// Ends the ring, when all tunnels have ended.
    pub fn finish(mut self) -> Used {
        self.jobs = None;
        self.bell.ring();
        let used = self.thread.take().unwrap().join().unwrap();
        assert_eq!((used.buffers, used.pipes), (0, 0), "in use still");
        used
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.jobs = None;
        self.bell.ring();
    }
}

/// A connection: the end of the peer, and the end of the gateway.
pub fn connection() -> (TcpStream, TcpStream) {
    // One for all: thousands of ports would be in TIME_WAIT, and none left for others.
    static LISTENER: OnceLock<Mutex<TcpListener>> = OnceLock::new();
    let listen = || Mutex::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let listener = LISTENER.get_or_init(listen).lock().unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    for stream in [&peer, &ours] {
        stream.set_nodelay(true).unwrap();
    }
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer.set_write_timeout(Some(PATIENCE)).unwrap();
    (peer, ours)
}

/// What stays on the ring's thread.
struct Worker {
    wheel: Rc<Wheel>,
    small: Rc<BufferPool>,
    large: Rc<BufferPool>,
    pipes: Option<Rc<Pipes>>,
    splicer: Option<Splicer>,
    flows: Arc<AtomicU64>,
    running: Cell<usize>,
}

impl Worker {
    fn prepare(way: Way, flows: Arc<AtomicU64>) -> impl FnOnce(Option<Splice>) -> Rc<Self> + Send {
        move |splice| {
            Rc::new(Self {
                wheel: Wheel::new(),
                small: BufferPool::new(SMALL, 64),
                large: BufferPool::bounded(LARGE, 8, 256),
                pipes: (way == Way::Pipe).then(Pipes::new),
                splicer: splice.map(Splicer::new),
                flows,
                running: Cell::new(0),
            })
        }
    }

    async fn serve(self: Rc<Self>, event: Event, jobs: Receiver<Job>) -> Used {
        let worker = Rc::clone(&self);
        tokio::task::spawn_local(async move {
            loop {
                sleep(TICK).await;
                worker.wheel.advance();
                worker.flows.store(worker.used().flows, Ordering::Relaxed);
            }
        });
        loop {
            match jobs.try_recv() {
                Ok(job) => {
                    self.running.set(self.running.get() + 1);
                    tokio::task::spawn_local(Rc::clone(&self).run(job));
                }
                Err(mpsc::TryRecvError::Empty) => event.wait().await.unwrap(),
                Err(mpsc::TryRecvError::Disconnected) => break,
            }
        }
        while self.running.get() > 0 {
            sleep(TICK).await;
        }
        self.used()
    }

    fn used(&self) -> Used {
        Used {
            buffers: self.small.in_use() + self.large.in_use(),
            pipes: self.pipes.as_ref().map_or(0, |pipes| pipes.in_use()),
            through_pipes: self.pipes.as_ref().map_or(0, |pipes| pipes.carried()),
            flows: self.splicer.as_ref().map_or(0, Splicer::joined),
        }
    }

    async fn run(self: Rc<Self>, job: Job) {
        let client = Stream::new(job.client, &self.wheel);
        let upstream = Stream::new(job.upstream, &self.wheel);
        let (to_client, to_upstream) = (Cell::new(0), Cell::new(0));
        let whole = Tunnel {
            client: &client,
            upstream: &upstream,
            ways: Ways {
                pools: Pools { small: &self.small, large: &self.large },
                pipes: self.pipes.as_ref(),
                splicer: self.splicer.as_ref(),
            },
            idle: job.limits.idle,
            to_client: &to_client,
            to_upstream: &to_upstream,
            web_socket: None,
        };
        let cut = async {
            if let Some(cut) = job.limits.cut
                && cut.await.is_ok()
            {
                return "cut";
            }
            std::future::pending().await
        };
        let end = tunnel(whole, cut).await;
        drop((client, upstream));
        let outcome = Outcome { end, to_client: to_client.get(), to_upstream: to_upstream.get() };
        // The test may have given up.
        let _ = job.outcome.send(outcome);
        self.running.set(self.running.get() - 1);
    }
}
