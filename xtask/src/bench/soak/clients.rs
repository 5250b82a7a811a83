//! Clients that wrk cannot be: uploads, WebSockets, pipelines, and those that leave at any point.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

const REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two of its doings each rests, so that none takes the machine for itself.
const REST: Duration = Duration::from_millis(5);
const GET: &str = "GET / HTTP/1.1\r\nHost: soak\r\n\r\n";
const UPLOAD: usize = 1024 * 1024;

/// Does its part until it is over, and fails on what it did not ask for.
type Client = fn(SocketAddr, &AtomicBool) -> Result<()>;

pub(super) const ALL: &[(&str, Client)] = &[
    ("uploads", |address, over| until(over, || upload(address))),
    ("chunked uploads", |address, over| until(over, || upload_chunked(address))),
    ("WebSockets", |address, over| until(over, || web_socket(address))),
    ("long WebSocket", long_web_socket),
    ("pipelines", |address, over| until(over, || pipeline(address))),
    ("reloaded answers", |address, over| until(over, || generation(address))),
    ("aborts", aborts),
];

fn until(over: &AtomicBool, mut run: impl FnMut() -> Result<()>) -> Result<()> {
    while !over.load(Ordering::Relaxed) {
        run()?;
        thread::sleep(REST);
    }
    Ok(())
}

/// One good request.
pub(super) fn ask(address: SocketAddr) -> Result<()> {
    let mut stream = connect(address)?;
    stream.write_all(GET.as_bytes())?;
    expect_good(&mut stream, 128)
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, REPLY_TIMEOUT).context("connecting")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
    stream.set_write_timeout(Some(REPLY_TIMEOUT))?;
    Ok(stream)
}

/// Reads a head.
fn head(stream: &mut TcpStream) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).context("a response head")?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head)?)
}

fn expect_good(stream: &mut TcpStream, body: usize) -> Result<()> {
    let head = head(stream)?;
    if !head.starts_with("HTTP/1.1 200 ") {
        bail!("expected 200, found {head:?}");
    }
    stream.read_exact(&mut vec![0; body]).context("a response body")
}

fn upload(address: SocketAddr) -> Result<()> {
    let mut stream = connect(address)?;
    for _ in 0..4 {
        let head = format!("POST / HTTP/1.1\r\nHost: soak\r\nContent-Length: {UPLOAD}\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        stream.write_all(&vec![b'u'; UPLOAD]).context("an upload")?;
        expect_good(&mut stream, 128)?;
    }
    Ok(())
}

/// The service frames by length alone, so that this one is answered by the gateway.
fn upload_chunked(address: SocketAddr) -> Result<()> {
    let mut stream = connect(address)?;
    stream.write_all(
        b"POST /generation HTTP/1.1\r\nHost: soak\r\nTransfer-Encoding: chunked\r\n\r\n\
          5;of=no\r\nhello\r\n0\r\n\r\n",
    )?;
    let head = head(&mut stream)?;
    if !head.starts_with("HTTP/1.1 200 ") {
        bail!("expected 200, found {head:?}");
    }
    Ok(())
}

fn switched(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = connect(address)?;
    stream.write_all(
        b"GET /socket HTTP/1.1\r\nHost: soak\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )?;
    let head = head(&mut stream)?;
    if !head.starts_with("HTTP/1.1 101 ") {
        bail!("expected 101, found {head:?}");
    }
    Ok(stream)
}

/// A binary frame with a mask of zeros; the service sends it back as it is.
fn exchange_frame(stream: &mut TcpStream, length: u16) -> Result<()> {
    let mut frame = vec![0x82, 0x80 | 126];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend((0..length).map(|at| at.to_be_bytes()[1]));
    stream.write_all(&frame).context("a frame")?;
    let mut back = vec![0; frame.len()];
    stream.read_exact(&mut back).context("a frame back")?;
    if back != frame {
        bail!("a frame came back changed");
    }
    Ok(())
}

fn web_socket(address: SocketAddr) -> Result<()> {
    let mut stream = switched(address)?;
    for length in [126, 1000, 65_535, 200] {
        exchange_frame(&mut stream, length)?;
    }
    Ok(())
}

/// Over every reload.
fn long_web_socket(address: SocketAddr, over: &AtomicBool) -> Result<()> {
    let mut stream = switched(address)?;
    until(over, || exchange_frame(&mut stream, 500))
}

fn pipeline(address: SocketAddr) -> Result<()> {
    let mut stream = connect(address)?;
    stream.write_all(GET.repeat(20).as_bytes())?;
    (0..20).try_for_each(|_| expect_good(&mut stream, 128))
}

/// What a reload changes is there, and a number.
fn generation(address: SocketAddr) -> Result<()> {
    let mut stream = connect(address)?;
    stream.write_all(b"GET /generation HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n")?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    let (head, body) = reply.split_once("\r\n\r\n").context("a whole response")?;
    if !head.starts_with("HTTP/1.1 200 ") || body.parse::<u32>().is_err() {
        bail!("expected a number, found {reply:?}");
    }
    Ok(())
}

/// Leaves inside a head, a body, a response and a tunnel, orderly and not.
fn aborts(address: SocketAddr, over: &AtomicBool) -> Result<()> {
    let starts = [
        "GET / HT",
        "POST / HTTP/1.1\r\nHost: soak\r\nContent-Length: 100000\r\n\r\npart",
        "GET /1m HTTP/1.1\r\nHost: soak\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: soak\r\nTransfer-Encoding: chunked\r\n\r\nff\r\npart",
    ];
    let mut number = 0_usize;
    until(over, || {
        number += 1;
        let mut stream = connect(address)?;
        let start = starts[number % starts.len()];
        stream.write_all(start.as_bytes())?;
        if start.starts_with("GET /1m") {
            stream.read_exact(&mut [0; 1000]).context("the beginning of a response")?;
        }
        if number.is_multiple_of(3) {
            // What is unread then, and what is not, makes it a reset or an end.
            stream.shutdown(std::net::Shutdown::Both)?;
        }
        if number.is_multiple_of(7) {
            drop(switched(address)?);
        }
        Ok(())
    })
}
