//! Keys that rotate every second for a while under load: no token of the newest key is refused, and
//! the issuer is asked no more often than schedule and bucket allow.
#![expect(clippy::disallowed_types, reason = "the lock is the clients', not the gateway's")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};

use crate::harness::deadline::pace;
use crate::harness::issuer::Fault;
use crate::harness::{Config, Gateway, Issuer, Key, Token, Upstream, wait_until};

/// Rotations of one soak, and the time between two of them.
const ROTATIONS: usize = 10;
const ROUND: Duration = Duration::from_secs(1);

/// Client threads, and connections of each: enough that every worker has some.
const CLIENTS: usize = 3;
const CONNECTIONS: usize = 6;

/// The gateway fetches at 80 % of the refresh interval of a second, give or take a tenth.
const REFRESH_SHORTEST: Duration = Duration::from_millis(720);
/// And not sooner than this after a failure.
const RETRY_SHORTEST: Duration = Duration::from_millis(100);
/// The token bucket for fetches out of turn gets one in this time, unless told otherwise.
const BUCKET: Duration = Duration::from_secs(10);

/// How an issuer rotates.
struct Plan {
    config: Config,
    /// Rounds that a key is published before it signs.
    lead: usize,
    /// Rounds that it stays published after.
    kept: usize,
    faults: Vec<Fault>,
    /// Whether others send tokens with made-up key names meanwhile.
    flood: bool,
}

/// What came of it.
struct Outcome {
    fetches: usize,
    elapsed: Duration,
}

impl Outcome {
    /// There can be one fetch each `every`, and those that a bucket lets through which holds two
    /// tokens and gets one each `bucket`.
    #[track_caller]
    fn expect_fetches(&self, every: Duration, bucket: Duration) {
        let in_all = |every: Duration| {
            usize::try_from(self.elapsed.as_millis() / every.as_millis()).unwrap()
        };
        let most = 1 + in_all(every) + 2 + in_all(bucket);
        assert!(self.fetches <= most, "{} fetches, {most} allowed", self.fetches);
    }
}

/// The keys and the one that signs now. A client holds the lock from signing to the answer where
/// a rotation takes the old key away at once, so that what it has sent is of the newest key.
struct Rotating {
    keys: Vec<Key>,
    newest: RwLock<usize>,
    served: Vec<AtomicUsize>,
    refused: Mutex<Vec<String>>,
    done: AtomicBool,
}

impl Plan {
    fn published<'k>(&self, keys: &'k [Key], newest: usize) -> Vec<&'k Key> {
        let first = newest.saturating_sub(self.kept);
        keys[first..=newest + self.lead].iter().collect()
    }

    fn run(&self, issuer: &Issuer) -> Outcome {
        let count = ROTATIONS + 1 + self.lead;
        let rotating = Rotating {
            keys: (0..count).map(|n| Key::ed25519(&format!("k{n}"))).collect(),
            newest: RwLock::new(0),
            served: (0..=ROTATIONS).map(|_| AtomicUsize::new(0)).collect(),
            refused: Mutex::default(),
            done: AtomicBool::new(false),
        };
        issuer.serve(&self.published(&rotating.keys, 0));
        let start = Instant::now();
        let gateway = Gateway::start(&self.config);
        wait_until("the first keys", || (gateway.admin("/readyz").status() == 200).then_some(()));
        issuer.suffer(&self.faults);
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| rotating.use_newest(&gateway, self.kept == 0));
            }
            if self.flood {
                scope.spawn(|| rotating.make_up_names(&gateway));
            }
            for next in 1..=ROTATIONS {
                pace(ROUND);
                let mut newest = rotating.newest.write().unwrap();
                issuer.serve(&self.published(&rotating.keys, next));
                *newest = next;
            }
            pace(ROUND);
            rotating.done.store(true, Ordering::SeqCst);
        });
        assert_eq!(*rotating.refused.lock().unwrap(), [""; 0], "refused wrongly");
        let served: Vec<usize> =
            rotating.served.iter().map(|one| one.load(Ordering::SeqCst)).collect();
        assert!(served.iter().all(|count| *count > 0), "tokens of each key: {served:?}");
        Outcome { fetches: issuer.fetches(), elapsed: start.elapsed() }
    }
}

impl Rotating {
    /// Sends tokens of the newest key until it is done.
    fn use_newest(&self, gateway: &Gateway, hold: bool) {
        let mut clients: Vec<_> = (0..CONNECTIONS).map(|_| gateway.client()).collect();
        for n in 0.. {
            if self.done.load(Ordering::SeqCst) {
                return;
            }
            let lock = self.newest.read().unwrap();
            let newest = *lock;
            let held = hold.then_some(lock);
            let token = Token::new().claim("jti", n).sign(&self.keys[newest]);
            let answer = clients[n % CONNECTIONS].get_as("/", &token);
            if answer.status() == 200 {
                self.served[newest].fetch_add(1, Ordering::SeqCst);
            } else {
                self.refused.lock().unwrap().push(format!("key {newest}: {answer:?}"));
            }
            drop(held);
            pace(Duration::from_millis(1));
        }
    }

    /// Sends tokens with key names that no issuer has.
    fn make_up_names(&self, gateway: &Gateway) {
        let stranger = Key::ed25519("stranger");
        let mut client = gateway.client();
        for n in 0.. {
            if self.done.load(Ordering::SeqCst) {
                return;
            }
            let token = Token::new().header("kid", format!("made-up-{n}")).sign(&stranger);
            assert_eq!(client.get_as("/", &token).status(), 401);
            pace(Duration::from_millis(1));
        }
    }
}

fn config(upstream: &Upstream, issuer: &Issuer) -> Config {
    Config::protecting_with_url(upstream, issuer).set("workers", 2)
}

/// Refreshed by itself too seldom to matter; one fetch a round for tokens with an unknown key name.
/// How long a token may wait is not what the test is about.
fn on_demand(upstream: &Upstream, issuer: &Issuer) -> Config {
    config(upstream, issuer)
        .set("jwt.providers.tests.jwks.refresh_interval", "1h")
        .set("jwt.providers.tests.unknown_kid_interval", "1s")
        .set("jwt.providers.tests.unknown_kid_wait", "10s")
}

/// A key signs two seconds after it is published, and the set is fetched again within 0.9 s. Those
/// who make names up use the bucket, which the others do not need.
#[test]
fn keys_published_ahead_in_a_flood_of_made_up_names() {
    let (upstream, issuer) = (Upstream::saying("x"), Issuer::failing(503));
    let config = config(&upstream, &issuer);
    let plan = Plan { config, lead: 2, kept: 0, faults: Vec::new(), flood: true };
    plan.run(&issuer).expect_fetches(REFRESH_SHORTEST, BUCKET);
}

/// Each answer takes 0.7 s and tells the keys as they were when the request came. The first fetch
/// that begins after a key was published does so within 0.7 s + 0.9 s, and ends 0.7 s later: before
/// the three seconds are over after which the key signs.
#[test]
fn keys_published_ahead_by_a_slow_issuer() {
    let (upstream, issuer) = (Upstream::saying("x"), Issuer::failing(503));
    let faults = vec![Fault::Late(Duration::from_millis(700))];
    let config = config(&upstream, &issuer);
    let plan = Plan { config, lead: 3, kept: 0, faults, flood: false };
    plan.run(&issuer).expect_fetches(REFRESH_SHORTEST, BUCKET);
}

/// Every other fetch fails. After one that worked the next begins within 0.9 s, and where that fails
/// the one after within 1 s: a key that signs three seconds after it is published has been fetched.
#[test]
fn keys_published_ahead_by_an_issuer_that_answers_garbage_half_the_time() {
    let (upstream, issuer) = (Upstream::saying("x"), Issuer::failing(503));
    let bad: [(u16, &[u8]); 5] = [
        (500, b"{}"),
        (200, b"<html>maintenance</html>"),
        (200, br#"{"keys":[]}"#),
        (200, br#"{"keys":[{"kty":"OKP","crv":"Ed25519""#),
        (302, b""),
    ];
    let faults = bad.iter().flat_map(|(status, text)| [Fault::None, Fault::Answer(*status, text)]);
    let config = config(&upstream, &issuer);
    let plan = Plan { config, lead: 3, kept: 0, faults: faults.collect(), flood: false };
    plan.run(&issuer).expect_fetches((REFRESH_SHORTEST + RETRY_SHORTEST) / 2, BUCKET);
}

/// Nobody has a key before it signs, and the one before is gone at once: each rotation costs one
/// fetch, which the first token of the new key waits for. The bucket has one a round, and two to
/// begin with.
#[test]
fn keys_that_sign_at_the_instant_of_publication() {
    let (upstream, issuer) = (Upstream::saying("x"), Issuer::failing(503));
    let config = on_demand(&upstream, &issuer);
    let plan = Plan { config, lead: 0, kept: 0, faults: Vec::new(), flood: false };
    let fetches = plan.run(&issuer).fetches;
    assert!(fetches <= 1 + ROTATIONS, "{fetches} fetches");
}

/// The same where each answer takes 0.3 s and the key before stays for a round, so that rotations
/// do not wait for requests in flight.
#[test]
fn keys_that_sign_at_the_instant_of_publication_by_a_slow_issuer() {
    let (upstream, issuer) = (Upstream::saying("x"), Issuer::failing(503));
    let faults = vec![Fault::Late(Duration::from_millis(300))];
    let config = on_demand(&upstream, &issuer);
    let plan = Plan { config, lead: 0, kept: 1, faults, flood: false };
    let fetches = plan.run(&issuer).fetches;
    assert!(fetches <= 1 + ROTATIONS, "{fetches} fetches");
}
