//! Tunnels with peers that do as chance has it: what arrives is what was sent, from its beginning on,
//! and all of it where nobody was cut off.

use std::io::{ErrorKind, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ringgate::relay::TunnelEnd;
use tokio::sync::oneshot;

use super::{Limits, Noise, Rig, Way};

/// For all ways together.
const RUNS: u64 = 3000;
const RUNS_AT_ONCE: usize = 8;
const RESET: Option<ErrorKind> = Some(ErrorKind::ConnectionReset);
/// Bytes at a read, and the pause after it.
const FAST: (usize, Duration) = (1 << 18, Duration::ZERO);
/// Set to what a failure has printed, the same scripts run again.
const SEED: &str = "RINGGATE_TUNNEL_SEED";

/// xorshift64*.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        random.next();
        random
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 16) % bound
    }

    /// Small ones as often as large ones, of each number of bits.
    fn size(&mut self, bits: u64) -> usize {
        let bits = self.below(bits + 1);
        usize::try_from(self.below(1 << bits)).unwrap() + 1
    }
}

/// How a peer is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It says that it sends no more, and reads on.
    Finish,
    Reset,
    /// As of a process that is killed.
    Kill,
}

/// What one peer does.
#[derive(Debug)]
struct Script {
    seed: u64,
    /// Bytes to send, and then to wait.
    parts: Vec<(usize, Duration)>,
    ending: Ending,
    /// Bytes to read, and then to wait.
    reads: Vec<(usize, Duration)>,
}

impl Script {
    fn new(random: &mut Random, ending: Ending) -> Self {
        // One in eight sends much.
        let bits = if random.below(8) == 0 { 21 } else { 15 };
        let count = random.below(8);
        let parts = (0..count).map(|_| (random.size(bits), pause(random))).collect();
        let reads = (0..=random.below(4)).map(|_| (random.size(18), pause(random))).collect();
        Self { seed: random.next(), parts, ending, reads }
    }
}

/// Mostly none.
fn pause(random: &mut Random) -> Duration {
    let most = [0, 0, 0, 50, 500, 4000][usize::try_from(random.below(6)).unwrap()];
    Duration::from_micros(if most == 0 { 0 } else { random.below(most) })
}

/// What one peer saw.
struct Seen {
    sent: u64,
    received: u64,
    /// What sending and receiving failed with. A reset is told once, to the one or the other.
    failures: [Option<ErrorKind>; 2],
}

/// Sends what the script says, as far as it is taken.
fn speak(script: &Script, mut to: &TcpStream) -> (u64, Option<ErrorKind>) {
    let mut noise = Noise::new(script.seed);
    let mut sent = 0;
    for (length, pause) in &script.parts {
        if let Err((taken, error)) = noise.write(&mut to, *length) {
            assert_ne!(error.kind(), ErrorKind::WouldBlock, "nobody takes it");
            return (sent + taken as u64, Some(error.kind()));
        }
        sent += *length as u64;
        thread::sleep(*pause);
    }
    // The other side may have been faster.
    let _ = match script.ending {
        Ending::Finish => to.shutdown(Shutdown::Write),
        Ending::Reset => rustix::net::connect_unspec(to).map_err(Into::into),
        Ending::Kill => to.shutdown(Shutdown::Both),
    };
    (sent, None)
}

/// Receives up to the end, at the script's pace; `seed` is the sender's.
fn listen(script: &Script, seed: u64, mut from: &TcpStream) -> (u64, Option<ErrorKind>) {
    let mut noise = Noise::new(seed);
    let mut received = 0;
    let mut buffer = vec![0; FAST.0];
    for (number, (most, pause)) in script.reads.iter().cycle().enumerate() {
        // Small reads and pauses all along would take minutes.
        let (most, pause) = if number < 20 { (*most, *pause) } else { FAST };
        match from.read(&mut buffer[..most]) {
            Ok(0) => return (received as u64, None),
            Ok(read) => {
                noise.check(&buffer[..read], received);
                received += read;
            }
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::WouldBlock, "nothing comes behind {received}");
                return (received as u64, Some(error.kind()));
            }
        }
        thread::sleep(pause);
    }
    unreachable!("a script has reads")
}

fn peer(script: &Script, other: &Script, stream: &TcpStream) -> Seen {
    thread::scope(|scope| {
        let speaking = scope.spawn(|| speak(script, stream));
        let (received, listening_failed) = listen(script, other.seed, stream);
        let (sent, speaking_failed) = speaking.join().unwrap();
        Seen { sent, received, failures: [speaking_failed, listening_failed] }
    })
}

/// Says which run it was, if it fails.
struct Name(Way, u64);

impl Drop for Name {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{:?}: failed with {SEED}={}", self.0, self.1);
        }
    }
}

fn run(rig: &Rig, way: Way, seed: u64) {
    let _name = Name(way, seed);
    let mut random = Random::new(seed);
    let endings = match random.below(10) {
        0 => (Ending::Reset, Ending::Finish),
        1 => (Ending::Finish, Ending::Reset),
        2 => (Ending::Kill, Ending::Finish),
        3 => (Ending::Finish, Ending::Kill),
        _ => (Ending::Finish, Ending::Finish),
    };
    let is_cut = random.below(20) == 0;
    let above = Script::new(&mut random, endings.0);
    let below = Script::new(&mut random, endings.1);
    let (cut, cutting) = oneshot::channel();
    let pair = rig.open(Limits { cut: is_cut.then_some(cutting), ..Limits::default() });
    let (client, server) = thread::scope(|scope| {
        let client = scope.spawn(|| peer(&above, &below, &pair.client));
        let server = scope.spawn(|| peer(&below, &above, &pair.server));
        if is_cut {
            thread::sleep(Duration::from_micros(random.below(3000)));
            // Too late, maybe.
            let _ = cut.send(());
        }
        (client.join().unwrap(), server.join().unwrap())
    });
    drop_peers(&pair);
    let outcome = pair.outcome();
    for (received, counted, sent) in [
        (server.received, outcome.to_upstream, client.sent),
        (client.received, outcome.to_client, server.sent),
    ] {
        assert!(received <= counted && counted <= sent, "{received} <= {counted} <= {sent}");
    }
    if is_cut {
        return;
    }
    match endings {
        (Ending::Finish, Ending::Finish) => {
            assert_eq!(outcome.end, TunnelEnd::Closed);
            assert_eq!((server.received, client.received), (client.sent, server.sent));
            assert_eq!((server.failures, client.failures), ([None; 2], [None; 2]));
        }
        (Ending::Reset, _) => assert!(server.failures.contains(&RESET), "{:?}", server.failures),
        (_, Ending::Reset) => assert!(client.failures.contains(&RESET), "{:?}", client.failures),
        _ => assert_ne!(outcome.end, TunnelEnd::Idle),
    }
}

/// Both are done: what is left of their connections goes, also where one still listened.
fn drop_peers(pair: &super::Pair) {
    for stream in [&pair.client, &pair.server] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

#[test]
fn no_byte_is_lost_or_invented() {
    let given = std::env::var(SEED).ok().map(|seed| seed.parse::<u64>().unwrap());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let first = given.unwrap_or(u64::try_from(now.as_millis()).unwrap() << 10);
    for way in Way::all("tunnel::random") {
        let rig = Rig::start(way);
        let next = AtomicU64::new(first);
        let work = || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= first + RUNS / 3 {
                    break;
                }
                run(&rig, way, seed);
            }
        };
        thread::scope(|scope| (0..RUNS_AT_ONCE).for_each(|_| drop(scope.spawn(work))));
        let used = rig.finish();
        assert_eq!(used.flows > 0, way == Way::Kernel, "{used:?}");
        assert_eq!(used.through_pipes > 0, way == Way::Pipe, "{used:?}");
    }
}
