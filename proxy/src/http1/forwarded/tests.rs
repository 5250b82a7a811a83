//! Lists of proxies read from the end: whom they name, and that nobody before them has a say.

use proptest::prelude::*;

use super::*;

#[test]
fn https_is_what_the_believed_part_says() {
    let peer: IpAddr = "192.0.2.1".parse().unwrap();
    let told = |lines: &[(&'static str, &'static str)], from| {
        let fields: Vec<Field<'_>> =
            lines.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
        ToldClient::find(&fields, from, peer, |one| one == peer).is_told_https(&fields, from)
    };
    for (value, expected) in [
        ("https", true),
        ("HTTPS", true),
        ("https, https", true),
        ("http", false),
        ("http, https", false),
        ("https, http", false),
        ("https,", false),
        ("", false),
    ] {
        let field = [("x-forwarded-proto", value)];
        assert_eq!(told(&field, ClientFrom::XForwardedFor), expected, "{value}");
        assert!(!told(&field, ClientFrom::Forwarded));
    }
    assert!(!told(&[], ClientFrom::XForwardedFor));
    for (value, expected) in [
        ("for=10.0.0.1;proto=https", true),
        ("proto=\"https\";for=10.0.0.1", true),
        ("for=10.0.0.9;proto=https, for=10.0.0.1;proto=http", false),
        ("for=10.0.0.9;proto=http, for=10.0.0.1;Proto=HTTPS", true),
        ("for=10.0.0.1;host=\"a,proto=https\"", false),
        ("for=10.0.0.1;proto=https;proto=https", false),
        ("for=10.0.0.1", false),
        ("proto=https", false),
        ("for=10.0.0.1;proto=http, for=192.0.2.1;proto=https", false),
    ] {
        assert_eq!(told(&[("Forwarded", value)], ClientFrom::Forwarded), expected, "{value}");
    }
}

const XFF: ClientFrom = ClientFrom::XForwardedFor;
const FORWARDED: ClientFrom = ClientFrom::Forwarded;

/// 10.0.0.0/8 and 2001:db8:1::/48 are trusted, and so is the peer, 10.9.9.9.
fn is_proxy(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[0] == 10,
        IpAddr::V6(address) => address.segments()[..3] == [0x2001, 0xdb8, 1],
    }
}

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 9, 9, 9));

/// The client, and what is believed of these lines.
fn read<'v>(from: ClientFrom, lines: &[&'v str]) -> (String, Vec<&'v str>) {
    let fields: Vec<Field<'_>> =
        lines.iter().map(|line| Field { name: from.field(), value: line.as_bytes() }).collect();
    let client = ToldClient::find(&fields, from, PEER, is_proxy);
    let believed: Vec<&[u8]> = client.believed(&fields, from).collect();
    let believed = believed.into_iter().map(|line| str::from_utf8(line).unwrap()).collect();
    (client.address.to_string(), believed)
}

#[test]
fn the_last_address_that_is_no_proxy_is_the_client() {
    let nothing: &[&str] = &[];
    for (lines, client, believed) in [
        (nothing, "10.9.9.9", nothing),
        (&[""], "10.9.9.9", nothing),
        (&["198.51.100.7"], "198.51.100.7", &["198.51.100.7"]),
        (&["6.6.6.6, 198.51.100.7"], "198.51.100.7", &["198.51.100.7"]),
        (&["6.6.6.6", "198.51.100.7"], "198.51.100.7", &["198.51.100.7"]),
        (
            &["6.6.6.6,198.51.100.7 , 10.0.0.1", "10.0.0.2"],
            "198.51.100.7",
            &["198.51.100.7 , 10.0.0.1", "10.0.0.2"],
        ),
        (&["10.0.0.1, 10.0.0.2"], "10.0.0.1", &["10.0.0.1, 10.0.0.2"]),
        (&[",, 198.51.100.7,, ,10.0.0.1,"], "198.51.100.7", &["198.51.100.7,, ,10.0.0.1,"]),
        (&["198.51.100.7:4711"], "198.51.100.7", &["198.51.100.7:4711"]),
        (&["2001:db8::7"], "2001:db8::7", &["2001:db8::7"]),
        (&["2001:db8::7, [2001:db8:1::1]:80"], "2001:db8::7", &["2001:db8::7, [2001:db8:1::1]:80"]),
        (&["::ffff:198.51.100.7"], "198.51.100.7", &["::ffff:198.51.100.7"]),
        (&["6.6.6.6, ::ffff:10.0.0.1"], "6.6.6.6", &["6.6.6.6, ::ffff:10.0.0.1"]),
    ] {
        let found = read(XFF, lines);
        assert_eq!(found, (client.to_owned(), believed.to_vec()), "{lines:?}");
    }
}

#[test]
fn what_is_no_address_ends_the_list() {
    for odd in [
        "unknown",
        "_hidden",
        "198.51.100",
        "198.51.100.7.1",
        "198.51.100.7:",
        "198.51.100.7:123456",
        "198.51.100.7:8o",
        "[2001:db8::7",
        "[2001:db8::7]80",
        "[198.51.100.7]",
        "fe80::1%eth0",
        "\"198.51.100.7\"",
        "a \"quote",
        "198.51.100.7 198.51.100.8",
        "\u{fc}",
    ] {
        let line = format!("6.6.6.6, {odd}, 10.0.0.1");
        assert_eq!(read(XFF, &[&line]), ("10.0.0.1".to_owned(), vec!["10.0.0.1"]), "{odd}");
        let line = format!("6.6.6.6, {odd}");
        assert_eq!(read(XFF, &[&line]), ("10.9.9.9".to_owned(), vec![]), "{odd}");
    }
}

#[test]
fn only_a_trusted_peer_is_asked() {
    let fields = [Field { name: "x-forwarded-for", value: b"198.51.100.7" }];
    let stranger = "203.0.113.9".parse().unwrap();
    let client = ToldClient::find(&fields, XFF, stranger, is_proxy);
    assert_eq!(client, ToldClient::peer(stranger));
    assert!(!client.is_told());
}

#[test]
fn only_the_field_that_is_asked_for_counts() {
    let fields = [
        Field { name: "X-FORWARDED-FOR", value: b"198.51.100.7" },
        Field { name: "Forwarded", value: b"for=198.51.100.8" },
        Field { name: "X_Forwarded_For", value: b"6.6.6.6" },
        Field { name: "X-Forwarded-Host", value: b"6.6.6.7" },
    ];
    for (from, client, line) in [
        (XFF, "198.51.100.7", &b"198.51.100.7"[..]),
        (FORWARDED, "198.51.100.8", b"for=198.51.100.8"),
    ] {
        let found = ToldClient::find(&fields, from, PEER, is_proxy);
        assert_eq!(found.address.to_string(), client);
        assert_eq!(found.believed(&fields, from).collect::<Vec<_>>(), [line]);
    }
}

#[test]
fn forwarded_elements_name_whom_they_are_for() {
    for (element, client) in [
        ("for=198.51.100.7", "198.51.100.7"),
        ("For=\"198.51.100.7\"", "198.51.100.7"),
        ("for=\"198.51.100.7:4711\";proto=https", "198.51.100.7"),
        ("for=\"198.51.100.7:_port\"", "198.51.100.7"),
        ("host=\"a,b;c=\\\"d\";FOR=\"[2001:db8::7]:80\";by=10.0.0.1", "2001:db8::7"),
        ("proto=https ; for=198.51.100.7 ;", "198.51.100.7"),
    ] {
        let line = format!("for=6.6.6.6, {element}, for=10.0.0.1");
        let believed = format!("{element}, for=10.0.0.1");
        let found = read(FORWARDED, &[&line]);
        assert_eq!(found, (client.to_owned(), vec![believed.as_str()]), "{element}");
    }
}

#[test]
fn what_is_no_forwarded_element_ends_the_list() {
    for odd in [
        "for",
        "for=",
        "for=unknown",
        "for=\"_hidden:_x\"",
        "proto=https",
        "198.51.100.7",
        "=198.51.100.7",
        "for=198.51.100.7;for=198.51.100.7",
        "for=198.51.100.7;host",
        "for=198.51.100.7;a b=c",
        "for=\"198.51.100.7",
        "for=198.51.100.7\"",
        "for=\"198.51.100.7\\\"",
        "for=\"198.51.100.7\"x",
        "for=198.51.100.7;host=\"\\",
        "for=198.51.100.7;host=a b",
        "for=\"2001:db8::7%1\"",
    ] {
        let line = format!("for=6.6.6.6, {odd}, for=10.0.0.1");
        let expected = ("10.0.0.1".to_owned(), vec!["for=10.0.0.1"]);
        assert_eq!(read(FORWARDED, &[&line]), expected, "{odd}");
    }
}

/// An element with the address that it names, or none.
fn element() -> impl Strategy<Value = (String, Option<IpAddr>)> {
    let address = prop_oneof![
        any::<[u8; 2]>().prop_map(|[a, b]| IpAddr::from([10, 0, a, b])),
        any::<[u8; 2]>().prop_map(|[a, b]| IpAddr::from([198, 51, a, b])),
        any::<u16>().prop_map(|a| IpAddr::from([0x2001, 0xdb8, 1, 0, 0, 0, 0, a])),
        any::<u16>().prop_map(|a| IpAddr::from([0x2001, 0xdb8, 2, 0, 0, 0, 0, a])),
    ];
    prop_oneof![
        8 => address.prop_map(|address| (address.to_string(), Some(address))),
        1 => "[a-z\\\\ =;]{1,5}x".prop_map(|odd| (odd, None)),
    ]
}

proptest! {
    /// By the definition, over the elements as a list.
    #[test]
    fn the_client_is_found_as_it_is_defined(
        elements in prop::collection::vec((element(), any::<bool>()), 0..6),
    ) {
        let mut lines = vec![String::new()];
        for ((text, _), starts_line) in &elements {
            if *starts_line {
                lines.push(String::new());
            }
            let line = lines.last_mut().unwrap();
            line.push_str(&format!(", {text}"));
        }
        let mut client = PEER;
        for ((_, address), _) in elements.iter().rev() {
            match address {
                Some(address) if is_proxy(client) => client = *address,
                _ => break,
            }
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        prop_assert_eq!(read(XFF, &lines).0, client.to_string());
    }

    /// What a client sends before the proxies have had their say changes nothing, and what is
    /// believed says the same by itself.
    #[test]
    fn what_stands_before_the_client_changes_nothing(
        garbage in "[a-z0-9.:,;=\"\\\\\\[\\] ]{0,24}",
        tail in prop::collection::vec(element(), 1..4),
        quoted in any::<bool>(),
    ) {
        let from = if quoted { FORWARDED } else { XFF };
        let spell = |(text, address): &(String, Option<IpAddr>)| match address {
            Some(_) if quoted => format!("for=\"{}\"", bracketed(text)),
            _ => text.clone(),
        };
        let client = if quoted { "for=203.0.113.1" } else { "203.0.113.1" };
        let mut honest = client.to_owned();
        for element in tail.iter().filter(|(_, address)| address.is_some_and(is_proxy)) {
            honest.push_str(", ");
            honest.push_str(&spell(element));
        }
        let alone = read(from, &[&honest]);
        prop_assert_eq!(&alone, &("203.0.113.1".to_owned(), vec![honest.as_str()]));
        let with_garbage = format!("{garbage},{honest}");
        prop_assert_eq!(&read(from, &[&with_garbage]), &alone);
        prop_assert_eq!(&read(from, &[&garbage, &honest]), &alone);
    }

    #[test]
    fn any_bytes_are_read(
        value in prop::collection::vec(any::<u8>(), 0..40),
        quoted in any::<bool>(),
    ) {
        let from = if quoted { FORWARDED } else { XFF };
        let fields = [Field { name: from.field(), value: &value }];
        let client = ToldClient::find(&fields, from, PEER, is_proxy);
        let believed: Vec<Field<'_>> = client
            .believed(&fields, from)
            .map(|value| Field { name: from.field(), value })
            .collect();
        prop_assert_eq!(believed.is_empty(), !client.is_told());
        let again = ToldClient::find(&believed, from, PEER, is_proxy);
        prop_assert_eq!(again.address, client.address);
    }
}

fn bracketed(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}
