//! The header of the PROXY protocol, versions 1 and 2: what stands before the first byte of a
//! connection and says whose it is, read and written. By haproxy's proxy-protocol.txt; bytes only, no
//! sockets.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::{self, FromStr};

use crate::snapshot::upstream_set::ProxyVersion;

/// The longest header that is read. That of version 1 has 107 bytes at most, and one of version 2
/// that must reach its receiver in one segment 536.
pub const HEADER_BYTES_MAX: usize = 1024;

const V1_BYTES_MAX: usize = 107;
const V1_SIGNATURE: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length.
const V2_FIXED_BYTES: usize = 16;

/// A header that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whose connection it is; none where the proxy speaks for itself, or cannot tell.
    pub source: Option<SocketAddr>,
    /// What it takes; the connection's own bytes follow.
    pub bytes: usize,
}

/// What the bytes so far are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// They may become a header.
    Partial,
    /// They do not begin with a header.
    Absent,
    /// They begin as a header does, and are none.
    Malformed,
    /// They begin with this header.
    Complete(Header),
}

/// Reads the header at the front of what has come so far of a connection.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let is_partial = |signature: &[u8]| signature.starts_with(bytes);
    let header = if bytes.starts_with(V2_SIGNATURE) {
        v2(bytes)
    } else if bytes.starts_with(V1_SIGNATURE) {
        v1(bytes)
    } else if is_partial(V1_SIGNATURE) || is_partial(V2_SIGNATURE) {
        return Parsed::Partial;
    } else {
        return Parsed::Absent;
    };
    match header {
        Ok(Some(header)) => Parsed::Complete(header),
        Ok(None) => Parsed::Partial,
        Err(Malformed) => Parsed::Malformed,
    }
}

/// The header for a connection from `source` to `destination`. IPv4-mapped addresses stand as IPv4
/// ones; where only one of the two is IPv4 it is mapped, since a header has one family.
#[must_use]
pub fn header(version: ProxyVersion, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let (ips, ports) = (
        [source, destination].map(|address| address.ip().to_canonical()),
        [source, destination].map(|address| address.port()),
    );
    match (version, ips) {
        (ProxyVersion::V1, [IpAddr::V4(source), IpAddr::V4(destination)]) => {
            v1_line("TCP4", source, destination, ports)
        }
        (ProxyVersion::V1, ips) => {
            let [source, destination] = ips.map(mapped);
            v1_line("TCP6", source, destination, ports)
        }
        (ProxyVersion::V2, [IpAddr::V4(source), IpAddr::V4(destination)]) => {
            v2_header(0x11, &source.octets(), &destination.octets(), ports)
        }
        (ProxyVersion::V2, ips) => {
            let [source, destination] = ips.map(|ip| mapped(ip).octets());
            v2_header(0x21, &source, &destination, ports)
        }
    }
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

fn v1_line(
    family: &str,
    source: impl Display,
    destination: impl Display,
    [source_port, destination_port]: [u16; 2],
) -> Vec<u8> {
    format!("PROXY {family} {source} {destination} {source_port} {destination_port}\r\n")
        .into_bytes()
}

fn v2_header(family: u8, source: &[u8], destination: &[u8], ports: [u16; 2]) -> Vec<u8> {
    let [source_port, destination_port] = ports.map(u16::to_be_bytes);
    let addresses = [source, destination, &source_port, &destination_port].concat();
    // 12 or 36 bytes.
    let length = u8::try_from(addresses.len()).unwrap_or(u8::MAX);
    [V2_SIGNATURE, &[0x21, family, 0, length], &addresses].concat()
}

struct Malformed;

/// A header, none where more bytes are needed.
type Outcome = Result<Option<Header>, Malformed>;

fn v1(bytes: &[u8]) -> Outcome {
    let window = &bytes[..bytes.len().min(V1_BYTES_MAX)];
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if window.len() < V1_BYTES_MAX { Ok(None) } else { Err(Malformed) };
    };
    let line = window[..end].strip_suffix(b"\r").ok_or(Malformed)?;
    let text = str::from_utf8(&line[V1_SIGNATURE.len()..]).map_err(|_| Malformed)?;
    let source = match text.split_once(' ') {
        // Whatever follows is to be ignored.
        Some(("UNKNOWN", _)) => None,
        None if text == "UNKNOWN" => None,
        Some(("TCP4", addresses)) => Some(v1_source::<Ipv4Addr>(addresses)?),
        Some(("TCP6", addresses)) => Some(v1_source::<Ipv6Addr>(addresses)?),
        _ => return Err(Malformed),
    };
    Ok(Some(Header { source, bytes: end + 1 }))
}

fn v1_source<A: FromStr + Into<IpAddr>>(text: &str) -> Result<SocketAddr, Malformed> {
    let mut parts = text.split(' ');
    let mut next = || parts.next().ok_or(Malformed);
    let (source, destination, source_port, destination_port) = (next()?, next()?, next()?, next()?);
    if parts.next().is_some() {
        return Err(Malformed);
    }
    let address = |text: &str| text.parse::<A>().map_err(|_| Malformed);
    address(destination)?;
    port(destination_port)?;
    Ok(SocketAddr::new(address(source)?.into(), port(source_port)?))
}

/// Decimal digits without leading zeros.
fn port(text: &str) -> Result<u16, Malformed> {
    let canonical = text == "0" || text.starts_with(|c: char| matches!(c, '1'..='9'));
    if canonical { text.parse().map_err(|_| Malformed) } else { Err(Malformed) }
}

fn v2(bytes: &[u8]) -> Outcome {
    let Some((fixed, behind)) = bytes.split_first_chunk::<V2_FIXED_BYTES>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let bytes_needed = V2_FIXED_BYTES + length;
    let (command, family) = (fixed[12], fixed[13]);
    let address_bytes = match (command, family) {
        // LOCAL: whatever addresses it has are to be ignored.
        (0x20, _) => 0,
        // UNSPEC; TCP over IPv4 and IPv6; a Unix stream, whose addresses say nothing here.
        (0x21, 0x00) => 0,
        (0x21, 0x11) => 12,
        (0x21, 0x21) => 36,
        (0x21, 0x31) => 216,
        _ => return Err(Malformed),
    };
    if length < address_bytes || bytes_needed > HEADER_BYTES_MAX {
        return Err(Malformed);
    }
    let Some(rest) = behind.get(..length) else { return Ok(None) };
    let source = match (command, family) {
        (0x21, 0x11 | 0x21) => Some(v2_source(&rest[..address_bytes]).ok_or(Malformed)?),
        _ => None,
    };
    // Behind addresses of a family that is not known here, nobody can say where the rest begins.
    if command == 0x21 && family != 0x00 {
        check_vectors(&bytes[..bytes_needed], V2_FIXED_BYTES + address_bytes)?;
    }
    Ok(Some(Header { source, bytes: bytes_needed }))
}

/// The first address and the first port.
fn v2_source(addresses: &[u8]) -> Option<SocketAddr> {
    let (ip, ports): (IpAddr, _) = if let Some((ip, rest)) =
        addresses.split_first_chunk::<16>().filter(|_| addresses.len() == 36)
    {
        ((*ip).into(), rest.get(16..)?)
    } else {
        let (ip, rest) = addresses.split_first_chunk::<4>()?;
        ((*ip).into(), rest.get(4..)?)
    };
    let port = ports.first_chunk::<2>()?;
    Some(SocketAddr::new(ip, u16::from_be_bytes(*port)))
}

const TYPE_CRC32C: u8 = 0x03;

/// Passes over the type-length-value vectors at `at`, which fill the header, and compares a checksum
/// among them.
fn check_vectors(header: &[u8], mut at: usize) -> Result<(), Malformed> {
    while at < header.len() {
        let Some([kind, high, low]) = header.get(at..at + 3) else { return Err(Malformed) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let value = header.get(at + 3..at + 3 + length).ok_or(Malformed)?;
        if *kind == TYPE_CRC32C {
            let told: [u8; 4] = value.try_into().map_err(|_| Malformed)?;
            let around = [&header[..at + 3], &[0; 4], &header[at + 7..]];
            if crc32c(around.into_iter().flatten()) != u32::from_be_bytes(told) {
                return Err(Malformed);
            }
        }
        at += 3 + length;
    }
    Ok(())
}

/// The checksum of Castagnoli (RFC 4960 appendix B).
fn crc32c<'b>(bytes: impl Iterator<Item = &'b u8>) -> u32 {
    const REVERSED_POLYNOMIAL: u32 = 0x82f6_3b78;
    !bytes.fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ REVERSED_POLYNOMIAL } else { crc >> 1 }
        })
    })
}

#[cfg(test)]
mod tests;
