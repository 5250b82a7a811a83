//! The ownership rules on a real ring: what is cancelled loses nothing, what is dropped stays alive.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use super::{Event, Listener, block_on, connect, event, sleep};
use crate::uring::wheel::{TICK, Wheel};
use crate::uring::{BufferPool, Peer, Stream};

const SOON: Duration = Duration::from_millis(1);
const LATE: Duration = Duration::from_secs(60);

/// A connected pair: one end on the ring, the other blocking.
fn pair(wheel: &Rc<Wheel>) -> (Stream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, _) = listener.accept().unwrap();
    (Stream::new(OwnedFd::from(socket), wheel), peer)
}

/// Turns the wheel as the worker does.
fn turn(wheel: &Rc<Wheel>) {
    let wheel = Rc::clone(wheel);
    tokio::task::spawn_local(async move {
        loop {
            sleep(TICK).await;
            wheel.advance();
        }
    });
}

#[test]
fn a_receive_past_its_deadline_is_cancelled_and_loses_no_byte() {
    let wheel = Wheel::new();
    let pool = BufferPool::new(64, 4);
    block_on(async {
        turn(&wheel);
        let (stream, mut peer) = pair(&wheel);
        stream.arm(SOON);
        let (result, buffer) = stream.recv(pool.take()).await;
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
        assert!(stream.expired());

        peer.write_all(b"kept").unwrap();
        stream.arm(LATE);
        assert!(!stream.expired());
        let (result, buffer) = stream.recv(buffer).await;
        assert_eq!(result.unwrap(), 4);
        assert_eq!(buffer.filled(), b"kept");
    })
    .unwrap();
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_dropped_receive_is_cancelled_and_keeps_its_buffer_and_descriptor_until_then() {
    let wheel = Wheel::new();
    let pool = BufferPool::new(64, 4);
    block_on(async {
        let (stream, mut peer) = pair(&wheel);
        drop(stream.recv(pool.take()));
        drop(stream);
        assert_eq!(pool.in_use(), 1, "the ring owns the buffer now");
        sleep(TICK).await;
        assert_eq!(pool.in_use(), 0, "and has returned it");
        // The last reference to the descriptor is gone with it.
        peer.set_read_timeout(Some(LATE)).unwrap();
        assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0);
    })
    .unwrap();
}

#[test]
fn cancel_ends_a_send_to_a_peer_that_does_not_read() {
    let wheel = Wheel::new();
    // Far more than the kernel queues on both sides of a loopback connection.
    let pool = BufferPool::new(64 * 1024 * 1024, 4);
    block_on(async {
        turn(&wheel);
        let (stream, _peer) = pair(&wheel);
        let mut buffer = pool.take();
        buffer.commit(buffer.capacity());
        let (result, rest) = stream.send_all(buffer, SOON).await;
        assert_eq!(result.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
        assert!(!rest.is_empty());
    })
    .unwrap();
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_deadline_moved_out_does_not_pass_and_one_moved_in_does() {
    let wheel = Wheel::new();
    block_on(async {
        let (stream, _peer) = pair(&wheel);
        stream.arm(TICK);
        stream.arm(LATE);
        for _ in 0..1000 {
            wheel.advance();
            assert!(!stream.expired());
        }
        stream.arm(TICK * 3);
        for _ in 0..3 {
            wheel.advance();
            assert!(!stream.expired(), "never early");
        }
        wheel.advance();
        assert!(stream.expired());
        // 60 s is 3000 ticks: far beyond one turn of the wheel.
        stream.arm(LATE);
        for _ in 0..3000 {
            wheel.advance();
            assert!(!stream.expired());
        }
        wheel.advance();
        assert!(stream.expired());
        stream.disarm();
        assert!(!stream.expired());
    })
    .unwrap();
}

#[test]
fn deadlines_of_one_tick_pass_together_but_for_those_moved_or_gone() {
    let wheel = Wheel::new();
    block_on(async {
        let mut streams: Vec<_> = (0..6).map(|_| pair(&wheel)).collect();
        let expired = |streams: &[(Stream, TcpStream)]| -> Vec<bool> {
            streams.iter().map(|(stream, _)| stream.expired()).collect()
        };
        for (stream, _) in &streams {
            stream.arm(TICK * 5);
        }
        // One at either end of the bucket and one between are moved in; one in the middle goes.
        for at in [0, 2, 5] {
            streams[at].0.arm(TICK);
        }
        streams.remove(3);
        (0..2).for_each(|_| wheel.advance());
        assert_eq!(expired(&streams), [true, false, true, false, true]);
        streams[0].0.disarm();
        (0..4).for_each(|_| wheel.advance());
        assert_eq!(expired(&streams), [false, true, true, true, true]);
    })
    .unwrap();
}

#[test]
fn a_connect_that_nobody_answers_times_out() {
    let wheel = Wheel::new();
    block_on(async {
        turn(&wheel);
        // A full backlog: the kernel drops further SYNs, so connecting hangs.
        let listener = socket2::Socket::new(
            socket2::Domain::IPV4,
            socket2::Type::STREAM,
            Some(socket2::Protocol::TCP),
        )
        .unwrap();
        let any = "127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap();
        listener.bind(&any.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut held = Vec::new();
        let error = loop {
            match connect(Peer::Tcp(address), &wheel, TICK * 5).await {
                Ok(stream) => held.push(stream),
                Err(error) => break error,
            }
            assert!(held.len() < 100, "the backlog never fills");
        };
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    })
    .unwrap();
}

#[test]
fn accept_gives_the_peer_and_ends_when_cancelled() {
    block_on(async {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let listener = Listener::new(socket.into());
        let client = TcpStream::connect(address).unwrap();
        let (fd, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert!(fd.as_raw_fd() > 2);

        let listener = Rc::new(listener);
        let waiting = tokio::task::spawn_local({
            let listener = Rc::clone(&listener);
            async move { listener.accept().await.map(drop) }
        });
        tokio::task::yield_now().await;
        listener.cancel();
        let error = waiting.await.unwrap().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
    })
    .unwrap();
}

#[test]
fn a_bell_rung_before_or_during_the_wait_wakes_it() {
    let (bell, fd) = event().unwrap();
    bell.ring();
    bell.ring();
    block_on(async move {
        let event = Event::new(fd);
        event.wait().await.unwrap();
        let ringer = std::thread::spawn(move || bell.ring());
        event.wait().await.unwrap();
        ringer.join().unwrap();
    })
    .unwrap();
}
