//! XDP: drops what must not reach the listeners, before the TCP stack sees it.
//!
//! Only segments for the gateway's own listeners are judged. In this order: a segment for another
//! address or port passes; one from an allowed source passes; then denied sources, banned ones,
//! segments that no stack sends, and handshakes above the rate of their source are dropped.
#![no_std]
#![no_main]

use core::net::IpAddr;

use aya_ebpf::Global;
use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::helpers::generated::{bpf_ktime_get_ns, bpf_xdp_get_buff_len};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray};
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::debug;
use ringgate_ebpf_abi::mapped;
use ringgate_ebpf_abi::shield::{
    BANS_MAX, Ban, RULES_MAX, SOURCES_MAX, Settings, Source, TARGETS_MAX, Target, VERDICTS,
    Verdict, line, rule,
};
use ringgate_packet::{Address, Frame, Opaque, Parsed, Rate, Segment, Shape, admit, parse};
use ringgate_programs as _;

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 18] = *b"MIT OR Apache-2.0\0";

/// The gateway's listeners.
#[map]
static TARGETS: HashMap<Target, u8> = HashMap::with_max_entries(2 * TARGETS_MAX, 0);
/// Bits of `abi::shield::rule` by prefix.
#[map]
static RULES_V4: LpmTrie<[u8; 4], u32> = LpmTrie::with_max_entries(2 * RULES_MAX, 0);
#[map]
static RULES_V6: LpmTrie<[u8; 16], u32> = LpmTrie::with_max_entries(2 * RULES_MAX, 0);
#[map]
static BANS: HashMap<Source, Ban> = HashMap::with_max_entries(BANS_MAX, 0);
/// When the bucket of a source is full again.
#[map]
static SYN_RATES: LruHashMap<Source, u64> = LruHashMap::with_max_entries(SOURCES_MAX, 0);
#[map]
static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);
/// By verdict.
#[map]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(VERDICTS, 0);

/// Whether to say who is dropped and why; set by the loader, so that the verifier takes out what is
/// not wanted.
#[unsafe(no_mangle)]
static LINES_WANTED: Global<u8> = Global::new(0);
/// When the bucket of lines is full again.
#[map]
static LINES: Array<u64> = Array::with_max_entries(1, 0);

/// The linear part of a packet.
struct Packet {
    context: XdpContext,
}

impl Frame for Packet {
    #[inline(always)]
    fn length(&self) -> usize {
        // SAFETY: the context is the one that the kernel passed to this run of the program.
        unsafe { bpf_xdp_get_buff_len(self.context.ctx) as usize }
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let at = self.context.data() + offset;
        if at + N > self.context.data_end() {
            return None;
        }
        // SAFETY: the N bytes from `at` lie before the end of the packet, which the verifier
        // proves again.
        Some(unsafe { core::ptr::read_unaligned(at as *const [u8; N]) })
    }
}

#[xdp]
pub fn shield(context: XdpContext) -> u32 {
    let verdict = judge(&Packet { context });
    if let Some(counter) = COUNTERS.get_ptr_mut(verdict as u32) {
        // SAFETY: the counter belongs to this CPU, on which a program is not interrupted by itself.
        unsafe { *counter += 1 };
    }
    if verdict.is_drop() { XDP_DROP } else { XDP_PASS }
}

#[inline(always)]
fn judge(packet: &Packet) -> Verdict {
    match parse(packet) {
        Parsed::Segment(segment) => {
            let verdict = judge_segment(&segment);
            if verdict.is_drop() && LINES_WANTED.load() != 0 && may_speak() {
                speak(packet, &segment, verdict);
            }
            verdict
        }
        Parsed::Opaque(Opaque::NotTcp) => Verdict::PassedNotTcp,
        Parsed::Opaque(Opaque::Options) => Verdict::PassedOptions,
        Parsed::Opaque(Opaque::Fragment) => Verdict::PassedFragment,
        Parsed::Opaque(Opaque::Extension) => Verdict::PassedExtension,
        Parsed::Opaque(Opaque::Unreadable) => Verdict::PassedUnreadable,
    }
}

#[inline(always)]
fn judge_segment(segment: &Segment) -> Verdict {
    if !is_for_a_listener(segment) {
        return Verdict::PassedNotOurs;
    }
    let (rules, source) = match segment.source {
        Address::V4(address) => (RULES_V4.get(Key::new(32, address)), Source::v4(address)),
        Address::V6(address) => (RULES_V6.get(Key::new(128, address)), Source::v6(address)),
    };
    let rules = rules.copied().unwrap_or(0);
    if rules & rule::ALLOW != 0 {
        return Verdict::PassedAllowed;
    }
    if rules & rule::DENY != 0 {
        return Verdict::DroppedDenied;
    }
    let ban = if rules & rule::TRUSTED == 0 { ban_of(source) } else { None };
    if ban == Some(Ban::ENFORCED) {
        return Verdict::DroppedBanned;
    }
    match segment.shape {
        Shape::BadLength => return Verdict::DroppedLength,
        Shape::BadFlags => return Verdict::DroppedFlags,
        Shape::ZeroPort => return Verdict::DroppedPort,
        Shape::Syn if !admits(source) => return Verdict::DroppedSynRate,
        Shape::Syn | Shape::Other => {}
    }
    if ban.is_some() { Verdict::PassedShadowBan } else { Verdict::Passed }
}

#[inline(always)]
fn is_for_a_listener(segment: &Segment) -> bool {
    let (address, any) = match segment.destination {
        Address::V4(address) => (mapped(address), mapped([0; 4])),
        Address::V6(address) => (address, [0; 16]),
    };
    let port = segment.destination_port;
    TARGETS.get_ptr(Target { address, port }).is_some()
        || TARGETS.get_ptr(Target { address: any, port }).is_some()
}

/// Takes a token for a line. It is the same bucket for all CPUs, which a flood finds empty and so
/// only reads.
#[inline(always)]
fn may_speak() -> bool {
    let rate = Rate { interval_ns: line::INTERVAL_NS, burst_ns: line::BURST * line::INTERVAL_NS };
    let Some(full_at) = LINES.get_ptr_mut(0) else { return false };
    // SAFETY: the value of an array map, valid for the whole run; two CPUs that race write a line
    // too many.
    let known = unsafe { *full_at };
    let Some(next) = admit(known, now_ns(), rate) else { return false };
    // SAFETY: as above.
    unsafe { *full_at = next };
    true
}

#[inline(always)]
fn speak(packet: &Packet, segment: &Segment, verdict: Verdict) {
    let (source, listener) = (ip(segment.source), ip(segment.destination));
    let port = u16::from_be_bytes(segment.destination_port);
    debug!(&packet.context, "{:i} for {:i} port {}: {}", source, listener, port, verdict.name());
}

#[inline(always)]
fn ip(address: Address) -> IpAddr {
    match address {
        Address::V4(octets) => IpAddr::V4(octets.into()),
        Address::V6(octets) => IpAddr::V6(octets.into()),
    }
}

/// The mode of the ban that holds now.
#[inline(always)]
fn ban_of(source: Source) -> Option<u64> {
    // SAFETY: an entry is replaced as a whole; a torn read could only mix two bans of one source.
    let ban = unsafe { BANS.get(source) }?;
    if ban.until_ns > now_ns() { Some(ban.mode) } else { None }
}

/// Takes a token of the source's; a source not seen lately has a full bucket.
#[inline(always)]
fn admits(source: Source) -> bool {
    let Some(settings) = SETTINGS.get(0) else { return true };
    let rate = Rate { interval_ns: settings.syn_interval_ns, burst_ns: settings.syn_burst_ns };
    if rate.interval_ns == 0 {
        return true;
    }
    let now = now_ns();
    match SYN_RATES.get_ptr_mut(source) {
        None => {
            // Fails when another CPU was first, and then that one counted.
            let _ = SYN_RATES.insert(source, now + rate.interval_ns, 0);
            true
        }
        Some(full_at) => {
            // SAFETY: a value of the map stays readable and writable for the program's run; two
            // CPUs that race lose a token's count, no more.
            let known = unsafe { *full_at };
            let Some(next) = admit(known, now, rate) else { return false };
            // SAFETY: as above.
            unsafe { *full_at = next };
            true
        }
    }
}

#[inline(always)]
fn now_ns() -> u64 {
    // SAFETY: takes nothing and reads a clock.
    unsafe { bpf_ktime_get_ns() }
}
