//! Tunnels in each of the ways that move their bytes: small messages back and forth, and bulk.
//!
//! The tunnels run on CPU 0, their peers on CPU 1. `cargo bench --package ringgate --bench tunnel`,
//! as root for the kernel's way; an argument behind `--` is the seconds of a run.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench reports on standard output and stops where it cannot go on"
)]

use std::cell::Cell;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ringgate::kernel::Splice;
use ringgate::relay::{Pipes, Pools, Splicer, Tunnel, Ways, tunnel};
use ringgate::uring::wheel::{TICK, Wheel};
use ringgate::uring::{BufferPool, Stream, block_on, sleep};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::thread::{CpuSet, sched_setaffinity};

const MESSAGE: usize = 64;
const HOUR: Duration = Duration::from_secs(3600);
const NANOSECONDS: f64 = 1e9;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Copy,
    Pipe,
    Kernel,
}

/// What one run gave.
struct Figures {
    units: u64,
    seconds: f64,
    /// Of the thread that the tunnels run on.
    cpu_seconds: f64,
    /// Of each round trip, sorted; none where there are none.
    latencies: Vec<Duration>,
}

fn main() {
    let given = std::env::args().filter_map(|argument| argument.parse().ok()).next();
    let time = Duration::from_secs(given.unwrap_or(2));
    println!(
        "| way | echo of 64 B, 1 connection: p50, echoes/s, CPU each | 32 connections: echoes/s, CPU each | one way: MB/s, CPU a MB |"
    );
    println!("|---|---|---|---|");
    for way in [Way::Copy, Way::Pipe, Way::Kernel] {
        let one = run(way, 1, |peers| echo(&peers, time));
        let many = run(way, 32, |peers| echo(&peers, time));
        let bulk = run(way, 1, |peers| one_way(peers, time));
        println!(
            "| {way:?} | {:.0} us, {:.0}, {:.1} us | {:.0}, {:.1} us | {:.0}, {:.0} us |",
            one.latencies[one.latencies.len() / 2].as_secs_f64() * 1e6,
            one.per_second(),
            one.cpu_each() * 1e6,
            many.per_second(),
            many.cpu_each() * 1e6,
            bulk.per_second() / 1e6,
            bulk.cpu_each() * 1e12,
        );
    }
}

impl Figures {
    fn per_second(&self) -> f64 {
        self.units as f64 / self.seconds
    }

    fn cpu_each(&self) -> f64 {
        self.cpu_seconds / self.units as f64
    }
}

/// The client's and the server's end of a tunnel.
type Peers = (TcpStream, TcpStream);

/// Runs tunnels while `load` goes on between their ends.
fn run(way: Way, tunnels: usize, load: impl FnOnce(Vec<Peers>) -> Figures) -> Figures {
    let (mut peers, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..tunnels {
        let ((client, front), (server, back)) = (connection(), connection());
        peers.push((client, server));
        ends.push((front, back));
    }
    let (cpu, spent) = mpsc::channel();
    let relay = thread::spawn(move || {
        pin(0);
        let began = thread_cpu();
        block_on(relay(way, ends)).expect("a ring");
        let _ = cpu.send(thread_cpu() - began);
    });
    pin(1);
    let mut figures = load(peers);
    relay.join().expect("the tunnels' thread");
    figures.cpu_seconds = spent.recv().expect("its time");
    figures
}

async fn relay(way: Way, ends: Vec<(TcpStream, TcpStream)>) {
    let wheel = Wheel::new();
    let small = BufferPool::new(20 * 1024, 64);
    let large = BufferPool::bounded(256 * 1024, 32, 256);
    let pipes = (way == Way::Pipe).then(Pipes::new);
    let splicer = (way == Way::Kernel).then(|| Splicer::new(Splice::load(128).expect("rights")));
    let turning = Rc::clone(&wheel);
    tokio::task::spawn_local(async move {
        loop {
            sleep(TICK).await;
            turning.advance();
        }
    });
    let open = Rc::new(Cell::new(ends.len()));
    for (front, back) in ends {
        let (client, upstream) =
            (Stream::new(OwnedFd::from(front), &wheel), Stream::new(OwnedFd::from(back), &wheel));
        let (small, large) = (Rc::clone(&small), Rc::clone(&large));
        let (pipes, splicer, open) = (pipes.clone(), splicer.clone(), Rc::clone(&open));
        tokio::task::spawn_local(async move {
            let whole = Tunnel {
                client: &client,
                upstream: &upstream,
                ways: Ways {
                    pools: Pools { small: &small, large: &large },
                    pipes: pipes.as_ref(),
                    splicer: splicer.as_ref(),
                },
                idle: HOUR,
                to_client: &Cell::new(0),
                to_upstream: &Cell::new(0),
                web_socket: None,
            };
            tunnel(whole, std::future::pending()).await;
            open.set(open.get() - 1);
        });
    }
    while open.get() > 0 {
        sleep(TICK).await;
    }
}

/// One message at a time on each connection, all of them on this thread.
fn echo(peers: &[Peers], time: Duration) -> Figures {
    for (client, server) in peers {
        client.set_nonblocking(true).expect("a socket");
        server.set_nonblocking(true).expect("a socket");
    }
    let mut sockets: Vec<&TcpStream> = peers.iter().map(|(client, _)| client).collect();
    sockets.extend(peers.iter().map(|(_, server)| server));
    let mut message = [0; MESSAGE];
    let began = Instant::now();
    let mut sent_at = vec![began; peers.len()];
    let (mut echoes, mut latencies) = (0, Vec::new());
    for (client, _) in peers {
        (&*client).write_all(&message).expect("room for a message");
    }
    while began.elapsed() < time {
        let mut events: Vec<_> =
            sockets.iter().map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
        poll(&mut events, None).expect("poll");
        let ready: Vec<bool> = events.iter().map(|event| !event.revents().is_empty()).collect();
        for (index, socket) in sockets.iter().enumerate().filter(|(index, _)| ready[*index]) {
            let mut socket: &TcpStream = socket;
            match socket.read(&mut message) {
                Ok(MESSAGE) => {}
                Ok(length) => unreachable!("a message in parts: {length}"),
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => unreachable!("{error}"),
            }
            if let Some(at) = sent_at.get_mut(index) {
                echoes += 1;
                latencies.push(at.elapsed());
                *at = Instant::now();
            }
            socket.write_all(&message).expect("room for a message");
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    latencies.sort_unstable();
    drop(sockets);
    Figures { units: echoes, seconds, cpu_seconds: 0.0, latencies }
}

/// As much as goes from the client to the server.
fn one_way(peers: Vec<Peers>, time: Duration) -> Figures {
    let (mut client, mut server) = peers.into_iter().next().expect("a tunnel");
    let began = Instant::now();
    let writing = thread::spawn(move || {
        let bytes = vec![0; 256 * 1024];
        while began.elapsed() < time {
            client.write_all(&bytes).expect("a reader");
        }
        client.shutdown(Shutdown::Write).expect("a socket");
        client
    });
    let mut bytes = vec![0; 256 * 1024];
    let mut units = 0;
    loop {
        match server.read(&mut bytes).expect("bytes") {
            0 => break,
            read => units += read as u64,
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    drop(writing.join());
    Figures { units, seconds, cpu_seconds: 0.0, latencies: Vec::new() }
}

fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let peer = TcpStream::connect(listener.local_addr().expect("bound")).expect("listening");
    let (ours, _) = listener.accept().expect("connected");
    for stream in [&peer, &ours] {
        stream.set_nodelay(true).expect("a TCP socket");
    }
    (peer, ours)
}

fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).expect("two CPUs");
}

/// Seconds that this thread has run.
fn thread_cpu() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat");
    let nanoseconds = text.split(' ').next().and_then(|word| word.parse::<f64>().ok());
    nanoseconds.expect("a number") / NANOSECONDS
}
