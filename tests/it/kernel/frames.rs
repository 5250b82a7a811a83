//! Frames put together by hand, and what the shield is to make of each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ringgate::kernel::Verdict;

pub const PORT: u16 = 8080;
pub const LISTENER_V4: [u8; 4] = [192, 0, 2, 1];
pub const LISTENER_V6: [u8; 16] = v6(1);
pub const STRANGER_V4: [u8; 4] = [198, 51, 100, 7];
pub const STRANGER_V6: [u8; 16] = v6(7);
pub const DENIED_V4: [u8; 4] = [203, 0, 113, 9];
pub const DENIED_V6: [u8; 16] = v6(9);
pub const ALLOWED_V4: [u8; 4] = [203, 0, 113, 200];
pub const BANNED_V4: [u8; 4] = [198, 51, 100, 66];
pub const SHADOWED_V4: [u8; 4] = [198, 51, 100, 67];
pub const EXPIRED_V4: [u8; 4] = [198, 51, 100, 68];
pub const TRUSTED_V4: [u8; 4] = [198, 51, 100, 69];
pub const BANNED_V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0x66, 0, 0, 0, 0, 0, 0, 0, 1];

const V4: u16 = 0x0800;
const V6: u16 = 0x86dd;
const ARP: u16 = 0x0806;
const VLAN: u16 = 0x8100;
const SERVICE_VLAN: u16 = 0x88a8;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// 2001:db8::`last`, of another /64 for each.
const fn v6(last: u8) -> [u8; 16] {
    [0x20, 1, 0xd, 0xb8, 0, 0, 0, last, 0, 0, 0, 0, 0, 0, 0, last]
}

pub struct Case {
    pub name: &'static str,
    pub frame: Vec<u8>,
    pub verdict: Verdict,
}

/// A header of 20 bytes, from port 40000.
fn tcp(port: u16, flags: u8) -> Vec<u8> {
    let mut header = vec![0; 20];
    header[..2].copy_from_slice(&40_000_u16.to_be_bytes());
    header[2..4].copy_from_slice(&port.to_be_bytes());
    header[12] = 5 << 4;
    header[13] = flags;
    header
}

fn packet_v4(source: [u8; 4], target: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 20];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&u16::try_from(20 + payload.len()).unwrap().to_be_bytes());
    packet[6] = 0x40;
    packet[8] = 64;
    packet[9] = protocol;
    packet[12..16].copy_from_slice(&source);
    packet[16..20].copy_from_slice(&target);
    packet.extend_from_slice(payload);
    packet
}

fn packet_v6(source: [u8; 16], target: [u8; 16], next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 40];
    packet[0] = 0x60;
    packet[4..6].copy_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
    packet[6] = next;
    packet[7] = 64;
    packet[8..24].copy_from_slice(&source);
    packet[24..40].copy_from_slice(&target);
    packet.extend_from_slice(payload);
    packet
}

fn ethernet(tags: &[u16], kind: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    for tag in tags {
        frame.extend_from_slice(&tag.to_be_bytes());
        frame.extend_from_slice(&[0, 42]);
    }
    frame.extend_from_slice(&kind.to_be_bytes());
    frame.extend_from_slice(packet);
    frame
}

/// A segment for the listener.
fn from_v4(source: [u8; 4], flags: u8) -> Vec<u8> {
    ethernet(&[], V4, &packet_v4(source, LISTENER_V4, 6, &tcp(PORT, flags)))
}

fn from_v6(source: [u8; 16], flags: u8) -> Vec<u8> {
    ethernet(&[], V6, &packet_v6(source, LISTENER_V6, 6, &tcp(PORT, flags)))
}

/// The frame with other bytes at an offset.
fn with(mut frame: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

fn cut(mut frame: Vec<u8>, length: usize) -> Vec<u8> {
    frame.truncate(length);
    frame
}

/// Each kind once; where a family or a tag makes a difference, once for each.
pub fn corpus() -> Vec<Case> {
    let left_to_the_stack = [left_to_the_stack_v4(), left_to_the_stack_v6()];
    [plain(), tagged(), left_to_the_stack.concat(), malformed(), big(), sources()]
        .into_iter()
        .flatten()
        .map(|(name, frame, verdict)| Case { name, frame, verdict })
        .collect()
}

type Row = (&'static str, Vec<u8>, Verdict);

fn plain() -> Vec<Row> {
    use Verdict::{Passed, PassedNotOurs, PassedNotTcp, PassedUnreadable};
    let elsewhere_v4 = packet_v4(STRANGER_V4, [192, 0, 2, 2], 6, &tcp(PORT, SYN));
    let elsewhere_v6 = packet_v6(STRANGER_V6, v6(2), 6, &tcp(PORT, SYN));
    let other_port = packet_v4(STRANGER_V4, LISTENER_V4, 6, &tcp(22, SYN | FIN));
    let any_v4 = packet_v4(STRANGER_V4, [192, 0, 2, 9], 6, &tcp(PORT + 1, SYN));
    let any_v6 = packet_v6(STRANGER_V6, v6(3), 6, &tcp(PORT + 2, SYN));
    let any_of_the_other_family = packet_v6(STRANGER_V6, v6(3), 6, &tcp(PORT + 1, SYN | FIN));
    let udp = packet_v4(STRANGER_V4, LISTENER_V4, 17, &tcp(PORT, SYN));
    let icmp_v6 = packet_v6(STRANGER_V6, LISTENER_V6, 58, &[0; 8]);
    let syn = packet_v4(STRANGER_V4, LISTENER_V4, 6, &tcp(PORT, SYN));
    vec![
        ("v4 syn", from_v4(STRANGER_V4, SYN), Passed),
        ("v6 syn", from_v6(STRANGER_V6, SYN), Passed),
        ("v4 ack", from_v4(STRANGER_V4, ACK), Passed),
        ("v6 fin", from_v6(STRANGER_V6, FIN | ACK), Passed),
        ("v4 reset", from_v4(STRANGER_V4, RST), Passed),
        ("v4 with ethernet padding", [from_v4(STRANGER_V4, SYN), vec![0; 6]].concat(), Passed),
        ("a runt that is all padding", [vec![2; 12], vec![0; 48]].concat(), PassedNotTcp),
        ("v4 for another address", ethernet(&[], V4, &elsewhere_v4), PassedNotOurs),
        ("v6 for another address", ethernet(&[], V6, &elsewhere_v6), PassedNotOurs),
        ("syn and fin for another port", ethernet(&[], V4, &other_port), PassedNotOurs),
        ("v4 for a listener on all addresses", ethernet(&[], V4, &any_v4), Passed),
        ("v6 for a listener on all addresses", ethernet(&[], V6, &any_v6), Passed),
        ("v6 for all addresses of v4", ethernet(&[], V6, &any_of_the_other_family), PassedNotOurs),
        ("udp", ethernet(&[], V4, &udp), PassedNotTcp),
        ("icmp for v6", ethernet(&[], V6, &icmp_v6), PassedNotTcp),
        ("arp", ethernet(&[], ARP, &[0; 28]), PassedNotTcp),
        (
            "v4 in a frame that says v6",
            ethernet(&[], V6, &[&syn[..], &[0; 20]].concat()),
            PassedUnreadable,
        ),
        (
            "v6 in a frame that says v4",
            with(from_v4(STRANGER_V4, SYN), 14, &[0x60]),
            PassedUnreadable,
        ),
    ]
}

fn tagged() -> Vec<Row> {
    use Verdict::{DroppedDenied, DroppedFlags, Passed, PassedNotTcp, PassedUnreadable};
    let v4 = |source, flags| packet_v4(source, LISTENER_V4, 6, &tcp(PORT, flags));
    let v6 = |source, flags| packet_v6(source, LISTENER_V6, 6, &tcp(PORT, flags));
    let double = [SERVICE_VLAN, VLAN];
    vec![
        ("v4 in a vlan", ethernet(&[VLAN], V4, &v4(STRANGER_V4, SYN)), Passed),
        ("v6 in a vlan", ethernet(&[VLAN], V6, &v6(STRANGER_V6, SYN)), Passed),
        ("denied v4 in a vlan", ethernet(&[VLAN], V4, &v4(DENIED_V4, ACK)), DroppedDenied),
        ("denied v6 in a vlan", ethernet(&[VLAN], V6, &v6(DENIED_V6, ACK)), DroppedDenied),
        ("denied v4 in two vlans", ethernet(&double, V4, &v4(DENIED_V4, SYN)), DroppedDenied),
        ("denied v6 in two vlans", ethernet(&double, V6, &v6(DENIED_V6, SYN)), DroppedDenied),
        (
            "bad flags in two vlans",
            ethernet(&[VLAN, VLAN], V4, &v4(STRANGER_V4, SYN | FIN)),
            DroppedFlags,
        ),
        ("in three vlans", ethernet(&[VLAN; 3], V4, &v4(DENIED_V4, SYN)), PassedNotTcp),
        ("cut off in a tag", cut(ethernet(&[VLAN], V4, &[]), 16), PassedUnreadable),
        ("cut off in a second tag", cut(ethernet(&double, V4, &[]), 20), PassedUnreadable),
    ]
}

fn left_to_the_stack_v4() -> Vec<Row> {
    use Verdict::{PassedFragment, PassedOptions, PassedUnreadable};
    let denied = || from_v4(DENIED_V4, SYN);
    // Bytes that would be ports, flags and a denied source if the options were taken for TCP.
    let mut options =
        packet_v4(DENIED_V4, LISTENER_V4, 6, &[tcp(PORT, SYN | FIN), tcp(PORT, SYN)].concat());
    options[0] = 0x4a;
    vec![
        ("v4 options", ethernet(&[], V4, &options), PassedOptions),
        ("v4 options in a vlan", ethernet(&[VLAN], V4, &options), PassedOptions),
        ("as many v4 options as there can be", with(denied(), 14, &[0x4f]), PassedOptions),
        ("first fragment", with(denied(), 20, &[0x20, 0]), PassedFragment),
        ("middle fragment", with(denied(), 20, &[0x20, 0xb9]), PassedFragment),
        ("last fragment", with(denied(), 20, &[0, 0xb9]), PassedFragment),
        ("v4 header of four words", with(denied(), 14, &[0x44]), PassedUnreadable),
        ("v4 total below its header", with(denied(), 16, &[0, 19]), PassedUnreadable),
        ("v4 total of nothing", with(denied(), 16, &[0, 0]), PassedUnreadable),
        ("v4 total that ends before the ports do", with(denied(), 16, &[0, 23]), PassedUnreadable),
        ("cut off in the v4 header", cut(denied(), 33), PassedUnreadable),
        ("cut off in the ports", cut(denied(), 37), PassedUnreadable),
        ("nothing after the ethernet header", cut(denied(), 14), PassedUnreadable),
    ]
}

fn left_to_the_stack_v6() -> Vec<Row> {
    use Verdict::{PassedExtension, PassedNotTcp, PassedUnreadable};
    let denied = || from_v6(DENIED_V6, SYN);
    let extension = |next| {
        let payload = [&[6, 0, 0, 0, 0, 0, 0, 0], &tcp(PORT, SYN)[..]].concat();
        ethernet(&[], V6, &packet_v6(DENIED_V6, LISTENER_V6, next, &payload))
    };
    vec![
        ("v6 hop by hop", extension(0), PassedExtension),
        ("v6 routing", extension(43), PassedExtension),
        ("v6 fragment", extension(44), PassedExtension),
        ("v6 encryption", extension(50), PassedExtension),
        ("v6 authentication", extension(51), PassedExtension),
        ("v6 destination options", extension(60), PassedExtension),
        ("v6 mobility", extension(135), PassedExtension),
        ("v6 without a next header", extension(59), PassedNotTcp),
        ("v6 payload of nothing", with(denied(), 18, &[0, 0]), PassedUnreadable),
        ("v6 payload of three bytes", with(denied(), 18, &[0, 3]), PassedUnreadable),
        ("cut off in the v6 header", cut(denied(), 53), PassedUnreadable),
        ("cut off in the ports after v6", cut(denied(), 57), PassedUnreadable),
    ]
}

fn malformed() -> Vec<Row> {
    use Verdict::{DroppedFlags, DroppedLength, DroppedPort, Passed};
    let syn = || from_v4(STRANGER_V4, SYN);
    let options = [&with(tcp(PORT, SYN), 12, &[6 << 4])[..], &[1; 4]].concat();
    let options = packet_v4(STRANGER_V4, LISTENER_V4, 6, &options);
    let tagged_syn =
        ethernet(&[VLAN], V4, &packet_v4(STRANGER_V4, LISTENER_V4, 6, &tcp(PORT, SYN)));
    vec![
        ("tcp options", ethernet(&[], V4, &options), Passed),
        ("tcp header of four words", with(syn(), 46, &[4 << 4]), DroppedLength),
        ("tcp header longer than the segment", with(syn(), 46, &[6 << 4]), DroppedLength),
        ("v4 total below the tcp header", with(syn(), 16, &[0, 39]), DroppedLength),
        ("v4 total beyond the frame", with(syn(), 16, &[0, 41]), DroppedLength),
        ("cut off in the tcp header", cut(syn(), 53), DroppedLength),
        ("cut off after the ports", cut(syn(), 38), DroppedLength),
        ("cut off in the tcp header after v6", cut(from_v6(STRANGER_V6, SYN), 73), DroppedLength),
        ("cut off in the tcp header in a vlan", cut(tagged_syn, 57), DroppedLength),
        (
            "v6 payload below the tcp header",
            with(from_v6(STRANGER_V6, SYN), 18, &[0, 19]),
            DroppedLength,
        ),
        (
            "v6 payload beyond the frame",
            with(from_v6(STRANGER_V6, SYN), 18, &[0, 21]),
            DroppedLength,
        ),
        ("syn and fin", from_v4(STRANGER_V4, SYN | FIN), DroppedFlags),
        ("syn and fin in v6", from_v6(STRANGER_V6, SYN | FIN | ACK), DroppedFlags),
        ("syn and reset", from_v4(STRANGER_V4, SYN | RST), DroppedFlags),
        ("from port 0", with(syn(), 34, &[0, 0]), DroppedPort),
        ("from port 0 in v6", with(from_v6(STRANGER_V6, ACK), 54, &[0, 0]), DroppedPort),
    ]
}

/// More than a page, which the kernel hands to the program in pieces, and more than a length field
/// can say, as the kernel joins segments.
fn big() -> Vec<Row> {
    use Verdict::{DroppedDenied, DroppedLength, Passed, PassedUnreadable};
    const JUMBO_BYTES: usize = 8960;
    const JOINED_BYTES: usize = 65_536;
    let segment = |flags, bytes| [tcp(PORT, flags), vec![0xda; bytes - 20]].concat();
    let jumbo =
        |source| ethernet(&[], V4, &packet_v4(source, LISTENER_V4, 6, &segment(ACK, JUMBO_BYTES)));
    let jumbo_v6 = packet_v6(STRANGER_V6, LISTENER_V6, 6, &segment(ACK, JUMBO_BYTES));
    // Its length field says nothing.
    let joined = |bytes| {
        with(from_v4(STRANGER_V4, ACK), 16, &[0, 0])
            .into_iter()
            .chain(vec![0xda; bytes - 20])
            .collect()
    };
    vec![
        ("jumbo v4", jumbo(STRANGER_V4), Passed),
        ("jumbo v6", ethernet(&[], V6, &jumbo_v6), Passed),
        ("jumbo v4 of a denied source", jumbo(DENIED_V4), DroppedDenied),
        (
            "jumbo v4 without its last byte",
            cut(jumbo(STRANGER_V4), 14 + 20 + JUMBO_BYTES - 1),
            DroppedLength,
        ),
        ("joined by the kernel", joined(JOINED_BYTES), Passed),
        ("one byte too few to be joined by the kernel", joined(JOINED_BYTES - 1), PassedUnreadable),
    ]
}

fn sources() -> Vec<Row> {
    use Verdict::{DroppedBanned, DroppedDenied, Passed, PassedAllowed, PassedShadowBan};
    vec![
        ("denied v4", from_v4(DENIED_V4, SYN), DroppedDenied),
        ("denied v4 on a connection", from_v4(DENIED_V4, ACK), DroppedDenied),
        ("denied v6", from_v6(DENIED_V6, SYN), DroppedDenied),
        ("allowed among denied", from_v4(ALLOWED_V4, SYN), PassedAllowed),
        ("allowed and malformed", from_v4(ALLOWED_V4, SYN | FIN), PassedAllowed),
        ("banned v4", from_v4(BANNED_V4, ACK), DroppedBanned),
        (
            "neighbour of a banned v6",
            from_v6(with(BANNED_V6.into(), 15, &[9]).try_into().unwrap(), SYN),
            DroppedBanned,
        ),
        ("banned in shadow", from_v4(SHADOWED_V4, ACK), PassedShadowBan),
        ("banned once", from_v4(EXPIRED_V4, ACK), Passed),
        ("banned and trusted", from_v4(TRUSTED_V4, ACK), Passed),
    ]
}

/// SYNs of one source, for the limit on them.
pub fn syn_from(source: IpAddr) -> Vec<u8> {
    match source {
        IpAddr::V4(source) => from_v4(source.octets(), SYN),
        IpAddr::V6(source) => from_v6(source.octets(), SYN),
    }
}

/// A segment that no stack sends.
pub fn malformed_from(source: [u8; 16]) -> Vec<u8> {
    from_v6(source, SYN | FIN)
}

/// Where the listeners of the corpus are: one address of each family, and all of each on two ports.
pub fn listeners() -> [(IpAddr, u16); 4] {
    [
        (LISTENER_V4.into(), PORT),
        (LISTENER_V6.into(), PORT),
        (Ipv4Addr::UNSPECIFIED.into(), PORT + 1),
        (Ipv6Addr::UNSPECIFIED.into(), PORT + 2),
    ]
}
