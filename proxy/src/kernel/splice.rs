//! Splicing: bytes that the kernel moves from one TCP socket to another, up to a credit.
//!
//! The rules, each one seen to be needed:
//!
//! * TCP gives the program whole segments (`tcp_read_skb`), and these may begin with bytes that were
//!   there before: segments are put together while they wait for a busy socket or for one that is
//!   missing, so that a retransmission overlaps what it repeats, and one may have been read in part
//!   when the flow began. So the program is told the sequence number to begin with, and cuts off what
//!   comes twice. With 8 to 64 MiB both ways at once on Linux 6.18, 21 of 18,200 runs went wrong
//!   without that, by one or two segments of the loopback interface, and none of 18,040 with it.
//! * There is no back-pressure, hence the credit: when it is used up the flow is
//!   [returned](Flow::is_returned), once and for all, and the rest is left to be read from the
//!   source. Bytes that were forwarded may still be on their way into the sink then: nothing is
//!   written to it before they are there ([`Flow::handed_over`]).
//! * The end of the source is not passed on, nor is a reset: that is the caller's, after the same
//!   wait.
//! * Only established sockets are taken.
//! * What the program lets pass to the source waits there behind what another flow has on its way
//!   out by the same socket: where two flows make a tunnel and a reader sleeps, the other direction
//!   of it waits too, once it was returned.
//!
//! Before Linux 6.16 the kernel sends a segment from its beginning again where a sink took a part of
//! it (commit 3b4f14b79428), and loses what it has let pass to a source with a full queue
//! (7683167196bd).

use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aya::EbpfLoader;
use aya::maps::{HashMap, MapData, SockMap};
use aya::programs::{SchedClassifier, SkSkb};
use ringgate_ebpf_abi::splice as abi;
use rustix::net::sockopt::socket_cookie;

use super::load::Loaded;
use super::shared_array::SharedArray;
use super::{Assist, Off, arrived};

/// The program and its maps; one for each worker, since it takes flows by `&mut`.
pub struct Splice {
    /// Keeps the one program attached to the map of sources, and has the other to be run.
    programs: Loaded,
    sources: SockMap<MapData>,
    sinks: SockMap<MapData>,
    places: HashMap<MapData, u64, u32>,
    flows: Arc<SharedArray<abi::Flow>>,
    free: Vec<u32>,
    flows_max: u32,
}

impl Splice {
    /// Loads the program, with room for so many flows; a tunnel has two.
    ///
    /// # Errors
    ///
    /// The kernel or the rights do not allow it.
    pub fn load(flows_max: u32) -> Result<Self, Off> {
        let count = flows_max.clamp(1, abi::FLOWS_MAX);
        let mut loader = EbpfLoader::new();
        for map in ["SOURCES", "SINKS", "PLACES", "FLOWS"] {
            loader.map_max_entries(map, count);
        }
        let mut programs = Loaded::new(Assist::Splice, &mut loader)?;
        programs.program::<SkSkb>("splice")?.load()?;
        programs.program::<SchedClassifier>("arrived")?.load()?;
        let sources: SockMap<MapData> = programs.map("SOURCES")?;
        programs.program::<SkSkb>("splice")?.attach(sources.fd())?;
        let (sinks, places) = (programs.map("SINKS")?, programs.map("PLACES")?);
        let flows = Arc::new(programs.shared_array("FLOWS")?);
        let free = (0..count).rev().collect();
        Ok(Self { programs, sources, sinks, places, flows, free, flows_max: count })
    }

    /// Moves what arrives at `source` to `sink` from now on, up to `credit` bytes. What arrived
    /// and was not read yet goes first; nobody reads meanwhile.
    ///
    /// # Errors
    ///
    /// No room for one more flow, or the kernel does not take a socket: it is not established any
    /// more. Nothing is spliced then.
    pub fn join(
        &mut self,
        source: &(impl AsFd + AsRawFd),
        sink: &impl AsRawFd,
        credit: u64,
    ) -> Result<Flow, Off> {
        // What is no TCP socket is refused here: it could be inserted, but not woken.
        let queued_before = queued(sink).map_err(|error| Off::Call { call: "TCP_INFO", error })?;
        let next = arrived::next_to_read(self.programs.program("arrived")?, source)?;
        let cookie = socket_cookie(source)
            .map_err(|errno| Off::Call { call: "SO_COOKIE", error: errno.into() })?;
        let Some(place) = self.free.pop() else {
            let max = self.flows_max as usize;
            return Err(Off::TooMany { what: "spliced flows", count: max + 1, max });
        };
        let flows = Arc::clone(&self.flows);
        let flow = Flow { flows, place, cookie, queued_before };
        flow.begin(credit, next);
        match self.insert(source, sink, &flow) {
            Ok(()) => Ok(flow),
            Err(off) => {
                self.part(&flow);
                Err(off)
            }
        }
    }

    /// The program runs from the insertion of the source on, so that goes last.
    fn insert(
        &mut self,
        source: &(impl AsFd + AsRawFd),
        sink: &impl AsRawFd,
        flow: &Flow,
    ) -> Result<(), Off> {
        self.places.insert(flow.cookie, flow.place, 0)?;
        self.sinks.set(flow.place, sink, 0)?;
        self.sources.set(flow.place, source, 0)?;
        wake(source).map_err(|error| Off::Call { call: "SO_RCVLOWAT", error })
    }

    /// Ends a flow: both sockets are the caller's again, for this direction. An entry of a socket
    /// that was closed is gone already.
    pub fn part(&mut self, flow: &Flow) {
        let _ = self.sources.clear_index(&flow.place);
        let _ = self.sinks.clear_index(&flow.place);
        let _ = self.places.remove(&flow.cookie);
        self.free.push(flow.place);
    }
}

/// Bytes on their way from one socket to another.
#[derive(Debug)]
pub struct Flow {
    flows: Arc<SharedArray<abi::Flow>>,
    place: u32,
    cookie: u64,
    /// What the sink's owner had written to it when the flow began.
    queued_before: u64,
}

impl Flow {
    /// Bytes that the kernel has taken from the source for the sink.
    #[must_use]
    pub fn forwarded(&self) -> u64 {
        self.field(offset_of!(abi::Flow, forwarded)).load(Ordering::Acquire)
    }

    /// Whether the credit was used up: the rest is to be read from the source.
    #[must_use]
    pub fn is_returned(&self) -> bool {
        self.field(offset_of!(abi::Flow, state)).load(Ordering::Acquire) == abi::Flow::RETURNED
    }

    /// Whether something came that cannot be, or could not be cut to what is new: nothing comes any
    /// more, neither to the sink nor to who reads the source.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.field(offset_of!(abi::Flow, state)).load(Ordering::Acquire) == abi::Flow::BROKEN
    }

    /// How much of what was forwarded is in the sink's own send queue, or has left it. Until this
    /// is all, a write to the sink, or its shutdown, would overtake the rest.
    ///
    /// # Errors
    ///
    /// The sink is no TCP socket.
    pub fn handed_over(&self, sink: &impl AsRawFd) -> io::Result<u64> {
        Ok(queued(sink)?.saturating_sub(self.queued_before))
    }

    /// Bytes that have ever arrived at a socket, in order; the end of its stream counts as one. It
    /// waits until the kernel has done with them: where a poll has shown the end of the source, or
    /// the flow is returned, [`forwarded`](Self::forwarded) is final then. A poll takes no lock and
    /// may show the end while the program still runs for the bytes before it.
    ///
    /// # Errors
    ///
    /// It is no TCP socket.
    pub fn received(source: &impl AsRawFd) -> io::Result<u64> {
        tcp_info::<{ BYTES_RECEIVED_AT + size_of::<u64>() }>(source)
    }

    /// Lets [`forwarded`](Self::forwarded) go as far as this.
    pub fn set_credit(&self, bytes: u64) {
        self.field(offset_of!(abi::Flow, credit)).store(bytes, Ordering::Release);
    }

    fn begin(&self, credit: u64, next: u32) {
        self.set_credit(credit);
        self.field(offset_of!(abi::Flow, next)).store(next.into(), Ordering::Release);
        self.field(offset_of!(abi::Flow, forwarded)).store(0, Ordering::Release);
        self.field(offset_of!(abi::Flow, state)).store(abi::Flow::SPLICED, Ordering::Release);
    }

    fn field(&self, offset: usize) -> &std::sync::atomic::AtomicU64 {
        self.flows.double_word(self.place, offset)
    }
}

/// Bytes that were ever put into the send queue of a TCP socket: those acknowledged and those not.
/// On a socket that connected, its SYN is among them.
fn queued(socket: &impl AsRawFd) -> io::Result<u64> {
    let mut acknowledged = acknowledged(socket)?;
    loop {
        let unacknowledged = unacknowledged(socket)?;
        let after = self::acknowledged(socket)?;
        // Bytes acknowledged between the two readings would be missing in the sum.
        if after == acknowledged {
            return Ok(acknowledged + unacknowledged);
        }
        acknowledged = after;
    }
}

// Of `struct tcp_info` in linux/tcp.h, which only ever grows at its end; libc's is shorter.
const BYTES_ACKED_AT: usize = 120;
const BYTES_RECEIVED_AT: usize = 128;

fn acknowledged(socket: &impl AsRawFd) -> io::Result<u64> {
    tcp_info::<{ BYTES_ACKED_AT + size_of::<u64>() }>(socket)
}

/// The field that ends at byte `END`.
fn tcp_info<const END: usize>(socket: &impl AsRawFd) -> io::Result<u64> {
    let mut info = [0_u8; END];
    let mut length = END as libc::socklen_t;
    let (fd, into) = (socket.as_raw_fd(), info.as_mut_ptr().cast());
    // SAFETY: the kernel writes `length` bytes at most, and `info` lives until the call returns.
    let result =
        unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, into, &raw mut length) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let Some(bytes) = info.last_chunk() else { unreachable!("the array is longer") };
    Ok(u64::from_ne_bytes(*bytes))
}

fn unacknowledged(socket: &impl AsRawFd) -> io::Result<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the kernel writes one int, which lives until the call returns.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::from(bytes.unsigned_abs()))
}

/// Has the kernel look at what the socket received before it was inserted, which it otherwise does
/// when the next segment comes.
fn wake(socket: &impl AsRawFd) -> io::Result<()> {
    let bytes: libc::c_int = 1;
    let length = size_of_val(&bytes) as libc::socklen_t;
    // SAFETY: the kernel reads one int, which lives until the call returns.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const bytes).cast(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
