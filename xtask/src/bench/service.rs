//! An upstream that reads what it is sent: bodies to their end, tunnels as an echo. A thread for each
//! connection, in this process.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::Result;

const STACK_BYTES: usize = 128 * 1024;
const SMALL: usize = 128;
/// The body of the answer to `/1m`.
const LARGE: usize = 1024 * 1024;

/// Serves for as long as the process runs.
pub(super) fn start() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::Builder::new().name("upstream".into()).spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = thread::Builder::new().stack_size(STACK_BYTES);
            // A connection that gets no thread is closed, which the load then sees.
            drop(connection.spawn(move || serve(&stream)));
        }
    })?;
    Ok(address)
}

/// What a request head says of what follows it.
#[derive(Default)]
struct Head {
    is_large: bool,
    length: u64,
    switches: bool,
}

/// Until either side has had enough; who is to blame shows at the client.
fn serve(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (small, large) = (answer(SMALL), answer(LARGE));
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Some(head) = read_head(&mut reader)? {
        if head.switches {
            let switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                            Upgrade: websocket\r\n\r\n";
            writer.write_all(switched.as_bytes())?;
            return io::copy(&mut reader, &mut writer).map(drop);
        }
        let read = io::copy(&mut (&mut reader).take(head.length), &mut io::sink())?;
        if read < head.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        writer.write_all(if head.is_large { &large } else { &small })?;
    }
    Ok(())
}

/// The gateway is trusted to write heads as it should; it frames these bodies by length.
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
    let mut head = Head::default();
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    head.is_large = line.split(' ').nth(1).is_some_and(|target| target.starts_with("/1m"));
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { return Ok(Some(head)) };
        if name.eq_ignore_ascii_case("content-length") {
            head.length = value.trim().parse().map_err(io::Error::other)?;
        }
        head.switches |= name.eq_ignore_ascii_case("upgrade");
    }
}

fn answer(body: usize) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {body}\r\n\r\n").into_bytes();
    bytes.resize(bytes.len() + body, b'x');
    bytes
}
