//! Counts what a worker takes from the heap for a request once it is warm: it has to be nothing.
//!
//! One worker runs in this process, between client connections and an upstream on threads of their
//! own. The allocator counts by thread; only the worker's count is looked at. With `--trace` it
//! prints where the first allocations come from.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench reports")]
#![expect(unsafe_code, reason = "an allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ringgate::cli::token::SigningKey;
use ringgate::control::certificates::TlsServices;
use ringgate::control::compile::{Inputs, compile};
use ringgate::control::config;
use ringgate::snapshot::ids::Generation;
use ringgate::snapshot::key_set::Algorithm;
use ringgate::telemetry::access_log::{AccessLog, Target};
use ringgate::telemetry::counters::{CounterBlock, Registry};
use ringgate::worker::{self, WorkerCounters, WorkerHandle, WorkerSpec};
use serde_json::json;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Requests that are counted, after as many that warm what is pooled and cached.
const REQUESTS: u64 = 20_000;
/// Client connections, each with one request at a time.
const CONNECTIONS: usize = 8;
/// Client connections at first. How many buffers are in use at once is a matter of timing: the
/// pool has met a worse case before it is looked at.
const WARMING_CONNECTIONS: usize = 4 * CONNECTIONS;
/// A connection that is silent for 100 ms gives back what its requests ran in. A turn near that is
/// a machine that did other work, not the hot path: it is measured again, so many times at most.
const TURN_MAX: Duration = Duration::from_millis(50);
const ATTEMPTS: u32 = 5;
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n0123456789abcdef";
const RESPONSE_BODY: &[u8] = b"\r\n\r\n0123456789abcdef";
const REQUEST_BODY: &[u8] = b"{\"order\":\"a kettle\"}";
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let trace = std::env::args().any(|argument| argument == "--trace");
    let keys = [Algorithm::Rs256, Algorithm::Es256]
        .map(|algorithm| SigningKey::generate(algorithm, algorithm.name()).expect("random"));
    let upstream = start_upstream().expect("an upstream");
    println!("{:<34} {:>10} {:>12} {:>12}", "case", "requests", "allocations", "a request");
    let mut clean = true;
    for (index, case) in cases(&keys).into_iter().enumerate() {
        let allocations = measure(index, &case, &keys, upstream, trace).expect(case.name);
        let each = allocations as f64 / REQUESTS as f64;
        println!("{:<34} {REQUESTS:>10} {allocations:>12} {each:>12.5}", case.name);
        clean &= allocations == 0;
    }
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One kind of request, and whether an access log is written.
struct Case {
    name: &'static str,
    request: Vec<u8>,
    access_log: bool,
}

fn cases(keys: &[SigningKey; 2]) -> [Case; 6] {
    let get = |path: &str, fields: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: api.example\r\nAccept: */*\r\n{fields}\r\n")
            .into_bytes()
    };
    let [rs256, es256] = keys.each_ref().map(|key| {
        let field = format!("Authorization: Bearer {}\r\n", token(key));
        get("/orders/17?expand=items", &field)
    });
    let length = REQUEST_BODY.len();
    let mut post =
        format!("POST / HTTP/1.1\r\nHost: api.example\r\nContent-Length: {length}\r\n\r\n")
            .into_bytes();
    post.extend_from_slice(REQUEST_BODY);
    let case = |name, request, access_log| Case { name, request, access_log };
    [
        case("GET", get("/", ""), false),
        case("GET, access log", get("/", ""), true),
        case("GET, RS256 token in the cache", rs256.clone(), false),
        case("GET, ES256 token in the cache", es256, false),
        case("GET, RS256 token, access log", rs256, true),
        case("POST with a small body", post, false),
    ]
}

fn token(key: &SigningKey) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    key.sign(&json!({
        "iss": "https://login.example/", "aud": ["orders"], "sub": "0f8fad5b-d9cb-469f",
        "iat": now, "exp": now + 3600, "scope": "orders:read orders:write",
    }))
}

/// The allocations of a warm worker while it serves the requests of one case.
fn measure(
    index: usize,
    case: &Case,
    keys: &[SigningKey; 2],
    upstream: SocketAddr,
    trace: bool,
) -> io::Result<u64> {
    let folder = tempfile::tempdir()?;
    let (worker, address) = start_worker(index, case, keys, upstream, folder.path());
    let count = of_thread(&format!("worker-{index}"))?;
    let mut clients = (0..WARMING_CONNECTIONS)
        .map(|_| connect(address))
        .collect::<io::Result<Vec<TcpStream>>>()?;
    serve(&mut clients, &case.request)?;
    clients.truncate(CONNECTIONS);
    serve(&mut clients, &case.request)?;
    TRACED.store(if trace { count.thread.load(Ordering::Relaxed) } else { 0 }, Ordering::Relaxed);
    let mut allocations = 0;
    for _ in 0..ATTEMPTS {
        let before = count.allocations.load(Ordering::Relaxed);
        let longest_turn = serve(&mut clients, &case.request)?;
        allocations = count.allocations.load(Ordering::Relaxed) - before;
        if longest_turn < TURN_MAX {
            break;
        }
    }
    TRACED.store(0, Ordering::Relaxed);
    drop(clients);
    worker.drain(Duration::from_secs(1));
    worker.join().map_err(|_| io::Error::other("the worker panicked"))?;
    Ok(allocations)
}

fn start_worker(
    index: usize,
    case: &Case,
    keys: &[SigningKey; 2],
    upstream: SocketAddr,
    folder: &Path,
) -> (WorkerHandle, SocketAddr) {
    let text = json!({
        "listeners": [{ "name": "bench", "address": "127.0.0.1:0" }],
        "jwt": { "providers": { "corp": {
            "issuer": "https://login.example/",
            "audiences": ["orders"],
            "algorithms": ["RS256", "ES256"],
            "jwks": { "inline": { "keys": keys.each_ref().map(SigningKey::public_jwk) } },
            "claim_headers": { "x-user": "sub" },
        } } },
        "upstreams": { "app": { "endpoints": [upstream.to_string()] } },
        "limits": { "requests_per_connection": 1_000_000_000 },
        "routes": [
            { "match": { "path_prefix": "/orders" }, "jwt": { "providers": ["corp"] }, "upstream": "app" },
            { "upstream": "app" },
        ],
    });
    let config = config::parse(&text.to_string(), Path::new("bench.json")).expect("good settings");
    let mut registry = Registry::default();
    let cells = WorkerCounters::register(&mut registry).expect("free cells");
    let (keys, addresses) = (HashMap::new(), HashMap::new());
    let inputs = Inputs {
        tls: &TlsServices::default(),
        generation: Generation(1),
        verdicts: Generation(1),
        deny_list: &Arc::default(),
        workers: 1,
        keys: &keys,
        addresses: &addresses,
    };
    let snapshot = Arc::new(compile(&config, &inputs, &mut registry).expect("free cells"));
    let configured = snapshot.listeners[0].address;
    let socket = worker::bind(configured, 1).expect("a free port").remove(0);
    let address = socket.local_addr().expect("bound");
    let access_log = case.access_log.then(|| {
        let target = Target::File(folder.join("access.log"));
        let (_, mut writers) = AccessLog::start(&target, 1).expect("an access log");
        writers.remove(0)
    });
    let spec = WorkerSpec {
        index,
        cpu: None,
        snapshot,
        listeners: vec![(configured, socket.into())],
        counters: Arc::new(CounterBlock::new()),
        cells,
        access_log,
        splice: None,
        ask_for_keys: Box::new(|_, _| {}),
        report_offences: Box::new(|_| {}),
    };
    (worker::spawn(spec).expect("a ring"), address)
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let client = TcpStream::connect(address)?;
    client.set_nodelay(true)?;
    client.set_read_timeout(Some(PATIENCE))?;
    Ok(client)
}

/// Has [`REQUESTS`] served, one on each connection in turn, and says how long a turn took at most.
fn serve(clients: &mut [TcpStream], request: &[u8]) -> io::Result<Duration> {
    let mut longest = Duration::ZERO;
    for _ in 0..REQUESTS / clients.len() as u64 {
        let start = Instant::now();
        for client in clients.iter_mut() {
            client.write_all(request)?;
        }
        for client in clients.iter_mut() {
            read_response(client)?;
        }
        longest = longest.max(start.elapsed());
    }
    Ok(longest)
}

/// Reads one response, however it is cut, and fails where it is not the upstream's.
fn read_response(client: &mut TcpStream) -> io::Result<()> {
    let mut response = [0; 1024];
    let mut filled = 0;
    while !response[..filled].ends_with(RESPONSE_BODY) {
        match client.read(&mut response[filled..])? {
            0 => return Err(io::Error::other(String::from_utf8_lossy(&response[..filled]))),
            read => filled += read,
        }
    }
    Ok(())
}

/// An upstream that answers everything alike, on a thread for each connection.
fn start_upstream() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || stream.and_then(answer));
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = [0; 8 * 1024];
    let mut filled = 0;
    loop {
        filled += match stream.read(&mut request[filled..])? {
            0 => return Ok(()),
            read => read,
        };
        // A request has no body, or the one of the POST.
        let end: &[u8] = if request.starts_with(b"POST") { REQUEST_BODY } else { b"\r\n\r\n" };
        if request[..filled].ends_with(end) {
            filled = 0;
            stream.write_all(RESPONSE)?;
        }
    }
}

/// Threads that are counted apart; later ones share the last place.
const THREADS_MAX: usize = 256;
/// Backtraces that `--trace` prints.
const TRACES_MAX: u64 = 12;

/// What one thread has allocated.
struct Count {
    thread: AtomicI32,
    allocations: AtomicU64,
}

static COUNTS: [Count; THREADS_MAX] =
    [const { Count { thread: AtomicI32::new(0), allocations: AtomicU64::new(0) } }; THREADS_MAX];
static THREADS: AtomicU64 = AtomicU64::new(0);
/// The thread whose allocations are printed, or 0.
static TRACED: AtomicI32 = AtomicI32::new(0);
static TRACES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// This thread's place in [`COUNTS`], from its first allocation on.
    static PLACE: Cell<Option<usize>> = const { Cell::new(None) };
    /// Set while a backtrace is taken, which allocates.
    static TRACING: Cell<bool> = const { Cell::new(false) };
}

/// The count of the thread with this name.
fn of_thread(name: &str) -> io::Result<&'static Count> {
    for task in Path::new("/proc/self/task").read_dir()? {
        let task = task?;
        let thread = task.file_name().to_string_lossy().parse().unwrap_or(0);
        if std::fs::read_to_string(task.path().join("comm"))?.trim_end() == name {
            let of_thread = |count: &&Count| count.thread.load(Ordering::Relaxed) == thread;
            return COUNTS.iter().find(of_thread).ok_or(io::ErrorKind::NotFound.into());
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

fn count(size: usize) {
    let place = PLACE.get().unwrap_or_else(|| {
        let next = THREADS.fetch_add(1, Ordering::Relaxed);
        let place = usize::try_from(next).unwrap_or(usize::MAX).min(THREADS_MAX - 1);
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        COUNTS[place].thread.store(thread, Ordering::Relaxed);
        PLACE.set(Some(place));
        place
    });
    let count = &COUNTS[place];
    let traced = TRACED.load(Ordering::Relaxed);
    if TRACING.get() {
        return;
    }
    count.allocations.fetch_add(1, Ordering::Relaxed);
    if traced == 0 || traced != count.thread.load(Ordering::Relaxed) {
        return;
    }
    if TRACES.fetch_add(1, Ordering::Relaxed) < TRACES_MAX {
        TRACING.set(true);
        eprintln!("{size} bytes\n{}", Backtrace::force_capture());
        TRACING.set(false);
    }
}

/// The system's allocator, counted.
struct Counting;

// SAFETY: every call goes to `System` unchanged, whose guarantees hold; counting allocates only
// where a backtrace is taken, and then it counts nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises about `layout` are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: `memory` came from `System` with `layout`, through the functions above.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as in `realloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}
