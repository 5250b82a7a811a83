//! A small HTTP server on plain threads for the demo's upstream and issuer: one request a
//! connection, never for anything but the demo.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// The longest request head that is read.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// More fields than the gateway forwards by default.
const FIELDS_MAX: usize = 128;
/// How long a peer may be silent.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most of a request body that is read away after the answer.
const DRAINED_MAX: u64 = 1024 * 1024;

/// What was asked.
pub(super) struct Request {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    /// Names in lower case, in order.
    pub(super) fields: Vec<(String, String)>,
}

/// What is answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

/// Listens on loopback; port 0 takes a free one.
pub(super) fn bind(port: u16) -> io::Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })
}

/// Serves for good, on a thread for each connection.
pub(super) fn serve(
    listener: TcpListener,
    answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
) -> io::Result<()> {
    let answer = Arc::new(answer);
    thread::Builder::new().name("demo-accept".into()).spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            // A connection that fails is its client's to notice; the demo goes on.
            let _ = thread::Builder::new()
                .name("demo-connection".into())
                .spawn(move || exchange(stream, &*answer));
        }
    })?;
    Ok(())
}

/// The status that a GET is answered with.
pub(super) fn status(address: SocketAddr, path: &str) -> io::Result<Option<u16>> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    let code = std::str::from_utf8(&start).ok().and_then(|start| start.strip_prefix("HTTP/1.1 "));
    Ok(code.and_then(|code| code.parse().ok()))
}

fn exchange(mut stream: TcpStream, answer: &dyn Fn(&Request) -> Answer) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let Some(request) = read_request(&mut stream)? else { return Ok(()) };
    let Answer { status, content_type, body } = answer(&request);
    let sent = if request.method == "HEAD" { "" } else { &body };
    let response = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{sent}",
        crate::http1::reason_phrase(status),
        body.len(),
    );
    stream.write_all(response.as_bytes())?;
    // Closing with bytes unread would reset the connection under the answer.
    stream.shutdown(Shutdown::Write)?;
    io::copy(&mut stream.take(DRAINED_MAX), &mut io::sink())?;
    Ok(())
}

/// Reads a request head; none where the bytes are no request.
fn read_request(stream: &mut impl Read) -> io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while bytes.len() < HEAD_BYTES_MAX {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&piece[..count]);
        let mut slots = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut head = httparse::Request::new(&mut slots);
        match head.parse(&bytes) {
            Ok(httparse::Status::Partial) => {}
            Ok(httparse::Status::Complete(_)) => return Ok(Some(Request::from(&head))),
            Err(_) => return Ok(None),
        }
    }
    Ok(None)
}

impl From<&httparse::Request<'_, '_>> for Request {
    fn from(head: &httparse::Request<'_, '_>) -> Self {
        let fields = head.headers.iter().map(|field| {
            let value = String::from_utf8_lossy(field.value).into_owned();
            (field.name.to_ascii_lowercase(), value)
        });
        Self {
            method: head.method.unwrap_or_default().to_owned(),
            target: head.path.unwrap_or_default().to_owned(),
            fields: fields.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror() -> SocketAddr {
        let listener = bind(0).unwrap();
        let address = listener.local_addr().unwrap();
        let answer = |request: &Request| Answer {
            status: 200,
            content_type: "text/plain",
            body: format!("{} {} {:?}", request.method, request.target, request.fields),
        };
        serve(listener, answer).unwrap();
        address
    }

    fn exchanged(request: &str) -> String {
        let mut stream = TcpStream::connect(mirror()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    #[test]
    fn a_request_is_answered_with_what_it_was() {
        let response = exchanged("GET /a?b HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n\r\n");
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(response.ends_with("GET /a?b [(\"host\", \"x\"), (\"x-a\", \"1\")]"), "{response}");
    }

    #[test]
    fn a_head_request_gets_a_length_and_no_body() {
        let response = exchanged("HEAD / HTTP/1.1\r\n\r\n");
        assert!(response.ends_with("\r\n\r\n"), "{response}");
        assert!(response.contains("Content-Length: 9\r\n"), "{response}");
    }

    #[test]
    fn a_status_is_read() {
        assert_eq!(status(mirror(), "/").unwrap(), Some(200));
    }

    #[test]
    fn what_is_no_request_is_not_answered() {
        assert_eq!(exchanged("nonsense\r\n\r\n"), "");
    }
}
