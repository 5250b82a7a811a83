//! Headers as haproxy's proxy-protocol.txt has them, in any split.

use proptest::prelude::*;

use super::*;

fn told(bytes: &[u8]) -> Option<String> {
    match parse(bytes) {
        Parsed::Complete(Header { source, bytes: taken }) => {
            assert_eq!(taken, bytes.len());
            source.map(|source| source.to_string())
        }
        other => panic!("{other:?}: {}", bytes.escape_ascii()),
    }
}

/// A header of version 2.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [V2_SIGNATURE, &[command, family], &length, rest].concat()
}

const TCP4: [u8; 12] = [198, 51, 100, 7, 10, 0, 0, 1, 0x12, 0x67, 0, 80];

/// With a checksum behind the addresses.
fn summed(change: u8) -> Vec<u8> {
    let mut header = binary(0x21, 0x11, &[&TCP4[..], &[3, 0, 4, 0, 0, 0, 0, 4, 0, 1, 9]].concat());
    let sum = crc32c(header.iter()).to_be_bytes();
    header[31..35].copy_from_slice(&sum);
    header[31] ^= change;
    header
}

fn tcp6() -> Vec<u8> {
    let source: Ipv6Addr = "2001:db8::7".parse().unwrap();
    binary(0x21, 0x21, &[&source.octets()[..], &[0; 16], &[0x12, 0x67, 0, 80]].concat())
}

#[test]
fn headers_name_whose_the_connection_is() {
    for (header, source) in [
        (&b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 80\r\n"[..], Some("198.51.100.7:4711")),
        (b"PROXY TCP6 2001:db8::7 ::1 4711 80\r\n", Some("[2001:db8::7]:4711")),
        (b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", Some("0.0.0.0:0")),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ffff::1 anything at all\r\n", None),
        (&binary(0x21, 0x11, &TCP4), Some("198.51.100.7:4711")),
        (
            &binary(0x21, 0x11, &[&TCP4[..], &[4, 0, 0, 0xea, 0, 1, 1]].concat()),
            Some("198.51.100.7:4711"),
        ),
        (&tcp6(), Some("[2001:db8::7]:4711")),
        (&summed(0), Some("198.51.100.7:4711")),
        (&binary(0x21, 0x31, &[0; 216]), None),
        (&binary(0x21, 0x00, b"anything"), None),
        (&binary(0x20, 0x00, b""), None),
        (&binary(0x20, 0x11, &TCP4), None),
    ] {
        assert_eq!(told(header).as_deref(), source, "{}", header.escape_ascii());
    }
}

#[test]
fn the_checksum_is_the_known_one() {
    assert_eq!(crc32c(b"123456789".iter()), 0xe306_9283);
}

#[test]
fn what_begins_as_a_header_and_is_none_is_malformed() {
    let long = [&b"PROXY UNKNOWN "[..], &[b'x'; 92], b"\r\n"].concat();
    assert_eq!(long.len(), V1_BYTES_MAX + 1);
    for bytes in [
        &b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 80\n"[..],
        b"PROXY TCP4 198.51.100.7 10.0.0.1 4711\r\n",
        b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 80 \r\n",
        b"PROXY TCP4  198.51.100.7 10.0.0.1 4711 80\r\n",
        b"PROXY TCP4 198.51.100.7 10.0.0.1 04711 80\r\n",
        b"PROXY TCP4 198.51.100.7 10.0.0.1 +711 80\r\n",
        b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 65536\r\n",
        b"PROXY TCP4 ::1 ::1 4711 80\r\n",
        b"PROXY TCP6 198.51.100.7 10.0.0.1 4711 80\r\n",
        b"PROXY UDP4 198.51.100.7 10.0.0.1 4711 80\r\n",
        b"PROXY UNKNOWNS\r\n",
        b"PROXY \r\n",
        &long,
        &summed(1),
        &binary(0x21, 0x11, &TCP4[..11]),
        &binary(0x21, 0x11, &[&TCP4[..], &[4, 0]].concat()),
        &binary(0x21, 0x11, &[&TCP4[..], &[4, 0, 2, 0]].concat()),
        &binary(0x21, 0x11, &[&TCP4[..], &[3, 0, 3, 0, 0, 0]].concat()),
        &binary(0x21, 0x12, &TCP4),
        &binary(0x22, 0x11, &TCP4),
        &binary(0x11, 0x11, &TCP4),
        &binary(0x20, 0x00, &[0; HEADER_BYTES_MAX - V2_FIXED_BYTES + 1]),
    ] {
        assert_eq!(parse(bytes), Parsed::Malformed, "{}", bytes.escape_ascii());
    }
    assert_eq!(told(&binary(0x20, 0x00, &[0; HEADER_BYTES_MAX - V2_FIXED_BYTES])), None);
}

#[test]
fn what_begins_otherwise_is_no_header() {
    for bytes in
        [&b"GET / HTTP/1.1\r\n"[..], b"PROX/", b"PROXYTCP4", b"\r\n\r\nG", b"\0", b"proxy "]
    {
        assert_eq!(parse(bytes), Parsed::Absent, "{}", bytes.escape_ascii());
    }
}

#[test]
fn every_part_of_a_header_is_partial_and_what_follows_is_left() {
    let text = b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 80\r\n".to_vec();
    for header in [text, tcp6(), summed(0), binary(0x20, 0x00, b"")] {
        for end in 0..header.len() {
            assert_eq!(parse(&header[..end]), Parsed::Partial, "{}", header[..end].escape_ascii());
        }
        let whole = parse(&header);
        assert!(matches!(whole, Parsed::Complete(Header { bytes, .. }) if bytes == header.len()));
        assert_eq!(parse(&[&header, &b"GET / HTTP/1.1\r\n"[..]].concat()), whole);
    }
}

proptest! {
    /// Once it is decided, more bytes change nothing.
    #[test]
    fn the_answer_is_the_same_in_any_split(
        text in any::<bool>(),
        rest in prop::collection::vec(any::<u8>(), 0..80),
        command in prop_oneof![Just(0x20_u8), Just(0x21), any::<u8>()],
        family in prop_oneof![Just(0x11_u8), Just(0x21), any::<u8>()],
        length in 0_u8..60,
    ) {
        let bytes = if text {
            [V1_SIGNATURE, &rest].concat()
        } else {
            [V2_SIGNATURE, &[command, family, 0, length], &rest].concat()
        };
        let whole = parse(&bytes);
        let mut decided = None;
        for end in 0..=bytes.len() {
            let now = parse(&bytes[..end]);
            match decided {
                Some(before) => prop_assert_eq!(now, before),
                None if now == Parsed::Partial => {}
                None => decided = Some(now),
            }
        }
        prop_assert_eq!(decided.unwrap_or(Parsed::Partial), whole);
    }

    #[test]
    fn any_source_is_read_back(ip in any::<IpAddr>(), port in any::<u16>()) {
        let source = SocketAddr::new(ip, port);
        let (name, binary) = match ip {
            IpAddr::V4(ip) => {
                let rest = [&ip.octets()[..], &[0; 4], &port.to_be_bytes(), &[0; 2]].concat();
                ("TCP4", binary(0x21, 0x11, &rest))
            }
            IpAddr::V6(ip) => {
                let rest = [&ip.octets()[..], &[0; 16], &port.to_be_bytes(), &[0; 2]].concat();
                ("TCP6", binary(0x21, 0x21, &rest))
            }
        };
        let text = format!("PROXY {name} {ip} {ip} {port} 80\r\n");
        prop_assert_eq!(told(text.as_bytes()), Some(source.to_string()));
        prop_assert_eq!(told(&binary), Some(source.to_string()));
    }
}

#[test]
fn a_written_header_is_that_of_the_specification() {
    let v1 = |source: &str, destination: &str| {
        let header =
            header(ProxyVersion::V1, source.parse().unwrap(), destination.parse().unwrap());
        String::from_utf8(header).unwrap()
    };
    assert_eq!(
        v1("198.51.100.7:4711", "10.0.0.1:80"),
        "PROXY TCP4 198.51.100.7 10.0.0.1 4711 80\r\n"
    );
    assert_eq!(v1("[2001:db8::7]:1", "[::1]:2"), "PROXY TCP6 2001:db8::7 ::1 1 2\r\n");
    assert_eq!(v1("[::ffff:1.2.3.4]:1", "5.6.7.8:2"), "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n");
    assert_eq!(v1("1.2.3.4:0", "[2001:db8::1]:2"), "PROXY TCP6 ::ffff:1.2.3.4 2001:db8::1 0 2\r\n");
    let v2 = header(
        ProxyVersion::V2,
        "198.51.100.7:4711".parse().unwrap(),
        "10.0.0.1:80".parse().unwrap(),
    );
    assert_eq!(v2, binary(0x21, 0x11, &TCP4));
}

fn address() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
        any::<[u8; 4]>().prop_map(|octets| Ipv4Addr::from(octets).to_ipv6_mapped().into()),
    ];
    (ip, any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        is_text in any::<bool>(),
        source in address(),
        destination in address(),
        behind in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let version = if is_text { ProxyVersion::V1 } else { ProxyVersion::V2 };
        let written = header(version, source, destination);
        prop_assert!(written.len() <= V1_BYTES_MAX);
        for end in 0..written.len() {
            prop_assert_eq!(parse(&written[..end]), Parsed::Partial);
        }
        let Parsed::Complete(read) = parse(&[&written[..], &behind].concat()) else {
            panic!("{}", written.escape_ascii());
        };
        prop_assert_eq!(read.bytes, written.len());
        let told = read.source.unwrap();
        prop_assert_eq!(told.ip().to_canonical(), source.ip().to_canonical());
        prop_assert_eq!(told.port(), source.port());
    }
}
