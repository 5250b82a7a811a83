//! TCP segments as they pass on the loopback interface, and some that nobody's TCP has sent.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, ipproto, recv, sendto,
    socket_with,
};

use crate::harness::deadline::PATIENCE;

const IP_HEADER: usize = 20;
const TCP_HEADER: usize = 20;
const ACK_AND_PUSH: u8 = 0x18;

/// A raw socket: what is sent by it has the TCP header that the test gives it.
pub struct Wire(OwnedFd);

/// What has passed.
pub struct Segment {
    ports: [u16; 2],
    sequence: u32,
    acknowledged: u32,
    window: u16,
}

impl Wire {
    /// Sees what comes from now on.
    pub fn tap() -> Self {
        let flags = SocketFlags::CLOEXEC;
        let protocol = Some(ipproto::TCP);
        let socket = socket_with(AddressFamily::INET, SocketType::RAW, flags, protocol).unwrap();
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// The segment with which so many bytes were sent.
    pub fn segment_of(&self, sender: &TcpStream, length: usize) -> Segment {
        let ports = [sender.local_addr(), sender.peer_addr()].map(|at| at.unwrap().port());
        let mut packet = [0; 65_536];
        loop {
            let (received, _) = recv(&self.0, &mut packet[..], RecvFlags::empty()).unwrap();
            let tcp = &packet[IP_HEADER..received];
            let half = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
            let word = |at: usize| u32::from(half(at)) << 16 | u32::from(half(at + 2));
            let header = usize::from(tcp[12] >> 4) * 4;
            if [half(0), half(2)] == ports && tcp.len() - header == length {
                let (sequence, acknowledged, window) = (word(4), word(8), half(14));
                return Segment { ports, sequence, acknowledged, window };
            }
        }
    }

    /// Sends `payload` as the bytes that begin `behind` the first one of the segment.
    pub fn send(&self, segment: &Segment, behind: u32, payload: &[u8]) {
        let mut tcp = vec![0; TCP_HEADER];
        tcp[..2].copy_from_slice(&segment.ports[0].to_be_bytes());
        tcp[2..4].copy_from_slice(&segment.ports[1].to_be_bytes());
        tcp[4..8].copy_from_slice(&segment.sequence.wrapping_add(behind).to_be_bytes());
        tcp[8..12].copy_from_slice(&segment.acknowledged.to_be_bytes());
        tcp[12] = u8::try_from((TCP_HEADER / 4) << 4).unwrap();
        tcp[13] = ACK_AND_PUSH;
        tcp[14..16].copy_from_slice(&segment.window.to_be_bytes());
        tcp.extend(payload);
        let sum = checksum(&tcp);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        assert_eq!(sendto(&self.0, &tcp, SendFlags::empty(), &to).unwrap(), tcp.len());
    }
}

/// From localhost to localhost, RFC 9293 section 3.1.
fn checksum(tcp: &[u8]) -> u16 {
    let address = Ipv4Addr::LOCALHOST.octets();
    let mut covered = [address, address].concat();
    covered.extend([0, 6]);
    covered.extend(u16::try_from(tcp.len()).unwrap().to_be_bytes());
    covered.extend(tcp);
    covered.resize(covered.len().next_multiple_of(2), 0);
    let words = covered.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}
