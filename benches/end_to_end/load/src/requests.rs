//! Requests: one after the other on each connection, a connection for each, or at a fixed rate.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::dial::{self, Dialer};
use crate::figures::Figures;
use crate::message::{self, Connection};
use crate::steps;

/// How long requests that are due may wait for a connection after the last has become due.
const BACKLOG_TIMEOUT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// What to ask, and how often.
#[derive(clap::Args, Clone)]
pub(crate) struct Plan {
    #[arg(long, default_value = "/")]
    path: String,
    #[arg(long)]
    connections: u32,
    #[arg(long)]
    seconds: u32,
    /// Bytes of a request's body
    #[arg(long, default_value_t = 0)]
    body: usize,
    /// A field of each request, as `Name: value`
    #[arg(long)]
    field: Option<String>,
    /// Requests a second over all connections, timed from when each was due; else as fast as
    /// answers come
    #[arg(long)]
    rate: Option<u32>,
    /// A new connection for each request
    #[arg(long, value_enum)]
    anew: Option<Handshakes>,
}

/// What handshakes of new connections must be; without TLS there are none.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Handshakes {
    Full,
    Resumed,
}

pub(crate) async fn run(dialer: &Dialer, plan: &Plan) -> Result<()> {
    steps::give_up_after(plan.seconds);
    dial::raise_descriptor_limit(plan.connections)?;
    let mut fields = plan.field.as_ref().map(|field| format!("{field}\r\n")).unwrap_or_default();
    if plan.anew.is_some() {
        fields.push_str("Connection: close\r\n");
    }
    let request: Arc<[u8]> = message::request(&plan.path, &fields, plan.body).into();
    let mut clients = Vec::new();
    for _ in 0..plan.connections {
        clients.push(Client::start(dialer, plan.anew, Arc::clone(&request)).await?);
    }
    steps::say_and_wait("READY")?;
    let began = Instant::now();
    let how_long = Duration::from_secs(plan.seconds.into());
    let mut figures = Figures::default();
    // Kept until the end: what closing them costs is no part of the run.
    let mut done = Vec::new();
    let mut running = JoinSet::new();
    match plan.rate {
        None => {
            for client in clients {
                running.spawn(client.ask_until(began + how_long));
            }
        }
        Some(rate) => {
            let due = Arc::new(Due::default());
            for client in clients {
                running.spawn(client.ask_when_due(Arc::clone(&due)));
            }
            due.tick(rate, how_long).await?;
        }
    }
    while let Some(ended) = running.join_next().await {
        let (client, its_figures) = ended??;
        done.push(client);
        figures.merge(its_figures);
    }
    steps::finish(&figures.json(began.elapsed()))
}

/// One connection at a time.
struct Client {
    dialer: Dialer,
    anew: Option<Handshakes>,
    request: Arc<[u8]>,
    /// None where each request has its own.
    connection: Option<Connection>,
}

impl Client {
    /// With one request served, so that pools are filled and there is a session to resume.
    async fn start(dialer: &Dialer, anew: Option<Handshakes>, request: Arc<[u8]>) -> Result<Self> {
        let dialer = match anew {
            Some(Handshakes::Resumed) => dialer.resuming(),
            Some(Handshakes::Full) | None => dialer.clone(),
        };
        let mut connection = Connection::new(dialer.dial().await?.0);
        connection.exchange(&request).await?;
        if anew.is_some() {
            connection.expect_end().await?;
        }
        Ok(Self { dialer, anew, request, connection: anew.is_none().then_some(connection) })
    }

    async fn ask(&mut self) -> Result<u64> {
        let Some(handshakes) = self.anew else {
            let connection = self.connection.as_mut().context("a connection that is kept")?;
            return connection.exchange(&self.request).await;
        };
        let (io, agreed) = self.dialer.dial().await?;
        let is_wrong = |resumed: bool| resumed != (handshakes == Handshakes::Resumed);
        if agreed.is_some_and(|agreed| is_wrong(agreed.is_resumed)) {
            bail!("a handshake is not as it was asked for: full or resumed");
        }
        let mut connection = Connection::new(io);
        let bytes = connection.exchange(&self.request).await?;
        connection.expect_end().await?;
        Ok(bytes)
    }

    async fn ask_until(mut self, end: Instant) -> Result<(Self, Figures)> {
        let mut figures = Figures::default();
        loop {
            let began = Instant::now();
            if began >= end {
                return Ok((self, figures));
            }
            let bytes = self.ask().await?;
            figures.add(began.elapsed(), bytes);
        }
    }

    async fn ask_when_due(mut self, due: Arc<Due>) -> Result<(Self, Figures)> {
        let mut figures = Figures::default();
        while let Some(at) = due.next().await {
            let bytes = self.ask().await?;
            figures.add(at.elapsed(), bytes);
        }
        Ok((self, figures))
    }
}

/// Times at which requests are due, for the next connection that is free.
struct Due {
    queue: Mutex<VecDeque<Instant>>,
    waiting: Semaphore,
}

impl Default for Due {
    fn default() -> Self {
        Self { queue: Mutex::default(), waiting: Semaphore::new(0) }
    }
}

impl Due {
    /// None when there will be no more.
    async fn next(&self) -> Option<Instant> {
        self.waiting.acquire().await.ok()?.forget();
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Makes requests due in equal distances, however late answers are.
    async fn tick(&self, rate: u32, how_long: Duration) -> Result<()> {
        let interval = Duration::from_secs(1) / rate;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        let step = Timespec { tv_sec: 0, tv_nsec: interval.subsec_nanos().into() };
        let times = Itimerspec { it_interval: step, it_value: step };
        #[expect(deprecated, reason = "an OwnedFd stays open and the same; its heir is unsafe")]
        let timer = AsyncFd::new(timer)?;
        let began = Instant::now();
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times)?;
        let mut made: u32 = 0;
        while interval * made < how_long {
            let mut ready = timer.readable().await?;
            let mut count = [0; 8];
            match rustix::io::read(&timer, &mut count) {
                Ok(_) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    ready.clear_ready();
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            let count = u32::try_from(u64::from_ne_bytes(count))?;
            let times = (made + 1..=made + count).map(|nth| began + interval * nth);
            self.queue.lock().unwrap_or_else(PoisonError::into_inner).extend(times);
            self.waiting.add_permits(count as usize);
            made += count;
        }
        let deadline = Instant::now() + BACKLOG_TIMEOUT;
        while self.waiting.available_permits() > 0 {
            if Instant::now() > deadline {
                bail!("the proxy does not keep up with {rate} requests a second");
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        self.waiting.close();
        Ok(())
    }
}
