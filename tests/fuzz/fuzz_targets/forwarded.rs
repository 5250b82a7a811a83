//! The client by what proxies say: no panic, the same client by what is believed of the list alone, and
//! whatever the input, nothing of it changes what a trusted proxy writes behind it. An input that
//! begins with `f` is a `Forwarded`, any other an `X-Forwarded-For`.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use ringgate::http1::{Field, ToldClient};
use ringgate::snapshot::ClientFrom;

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 9, 9, 9));

fn is_proxy(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.octets()[0] == 10)
}

fn find(fields: &[Field<'_>], from: ClientFrom) -> ToldClient {
    ToldClient::find(fields, from, PEER, is_proxy)
}

fuzz_target!(|input: &[u8]| {
    let (from, honest) = match input.first() {
        Some(b'f') => (ClientFrom::Forwarded, &b"for=203.0.113.1;host=\"a,\\\"b\""[..]),
        _ => (ClientFrom::XForwardedFor, &b"203.0.113.1"[..]),
    };
    let field = |value| Field { name: from.field(), value };
    let fields = [field(input)];
    let client = find(&fields, from);
    let believed: Vec<Field<'_>> = client.believed(&fields, from).map(field).collect();
    assert_eq!(believed.is_empty(), !client.is_told());
    assert_eq!(find(&believed, from).address, client.address);

    let appended = [input, b",", honest].concat();
    for fields in [&[field(&appended)][..], &[field(input), field(honest)]] {
        assert_eq!(find(fields, from).address, IpAddr::from([203, 0, 113, 1]));
    }
});
