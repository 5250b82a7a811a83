//! Every rule of the book, and the book beside one that remembers every token.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::snapshot::peers::source_of;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Three tokens within eight seconds: a minute, at most eight minutes.
fn terms() -> BanConfig {
    BanConfig {
        enforced: true,
        invalid_tokens: 3,
        within: 8 * SECOND,
        duration: MINUTE,
        duration_max: 8 * MINUTE,
    }
}

fn source(number: u32) -> Source {
    source_of(IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + number)))
}

fn evidence(tokens: u64, at: Instant) -> Evidence {
    Evidence { tokens, last_seen: at, listener: "public".into(), route: "api".into() }
}

struct Case {
    book: Book,
    start: Instant,
}

impl Case {
    fn new() -> Self {
        let start = Instant::now();
        Self { book: Book::new(terms(), start), start }
    }

    /// Reports tokens of a source at so long after the start; how long the ban is that begins.
    fn tokens(&mut self, from: u32, tokens: u64, at: Duration) -> Option<Duration> {
        let at = self.start + at;
        let ban = self.book.report(source(from), evidence(tokens, at)).begun?;
        assert_eq!(ban.since, at);
        Some(ban.until - ban.since)
    }

    fn banned(&self, at: Duration) -> Vec<Source> {
        self.book.bans(self.start + at).map(|(source, _)| source).collect()
    }
}

#[test]
fn the_last_of_enough_tokens_begins_a_ban() {
    let mut case = Case::new();
    assert_eq!(case.tokens(1, 1, SECOND), None);
    assert_eq!(case.tokens(1, 1, SECOND), None);
    assert_eq!(case.tokens(2, 2, SECOND), None, "each source by itself");
    assert_eq!(case.banned(SECOND), []);
    assert_eq!(case.tokens(1, 1, 2 * SECOND), Some(MINUTE));
    assert_eq!(case.banned(2 * SECOND), [source(1)]);
    let all: Vec<_> = case.book.bans(case.start + 2 * SECOND).collect();
    let ban = Ban {
        since: case.start + 2 * SECOND,
        until: case.start + 62 * SECOND,
        times: 1,
        evidence: evidence(3, case.start + 2 * SECOND),
    };
    assert_eq!(all, [(source(1), &ban)]);
}

#[test]
fn many_tokens_in_one_report_are_enough() {
    assert_eq!(Case::new().tokens(1, u64::MAX, SECOND), Some(MINUTE));
}

#[test]
fn tokens_further_apart_than_the_time_do_not_add_up() {
    let mut case = Case::new();
    // Two within any eight seconds, for an hour.
    for round in 0..900 {
        assert_eq!(case.tokens(1, 1, 4 * SECOND * round), None, "round {round}");
    }
    assert_eq!(case.tokens(1, 2, 3600 * SECOND), Some(MINUTE), "the one before still counts");
}

#[test]
fn a_token_counts_for_seven_eighths_of_the_time_at_least() {
    let mut case = Case::new();
    assert_eq!(case.tokens(1, 2, Duration::from_millis(999)), None);
    assert_eq!(case.tokens(1, 1, Duration::from_millis(7998)), Some(MINUTE));
    assert_eq!(case.tokens(2, 2, Duration::from_millis(10_999)), None);
    assert_eq!(case.tokens(2, 1, Duration::from_millis(18_999)), None, "eight seconds later");
}

#[test]
fn a_ban_ends_by_itself_once() {
    let mut case = Case::new();
    case.tokens(1, 3, Duration::ZERO);
    let end = case.start + MINUTE;
    assert_eq!(case.book.next_end(), Some(end));
    assert_eq!(case.book.pass_time(end - SECOND), []);
    assert_eq!(case.banned(MINUTE - SECOND), [source(1)]);
    assert_eq!(case.banned(MINUTE), [], "even before anyone has looked");
    let over = case.book.pass_time(end);
    assert_eq!(over.iter().map(|(source, _)| *source).collect::<Vec<_>>(), [source(1)]);
    assert_eq!(case.book.pass_time(end), []);
    assert_eq!(case.book.next_end(), None);
}

#[test]
fn tokens_during_a_ban_are_evidence_and_make_it_no_longer() {
    let mut case = Case::new();
    case.tokens(1, 3, Duration::ZERO);
    assert_eq!(case.tokens(1, 100, 30 * SECOND), None);
    let (_, ban) = case.book.bans(case.start + 30 * SECOND).next().unwrap();
    assert_eq!((ban.evidence.tokens, ban.until), (103, case.start + MINUTE));
    assert_eq!(ban.evidence.last_seen, case.start + 30 * SECOND);
    case.book.pass_time(case.start + MINUTE);
    assert_eq!(case.tokens(1, 2, MINUTE), None, "they do not count for the next one");
}

#[test]
fn a_source_that_comes_again_soon_is_banned_twice_as_long_up_to_a_maximum() {
    let mut case = Case::new();
    let mut at = Duration::ZERO;
    for (times, minutes) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (6, 8)] {
        assert_eq!(case.tokens(1, 3, at), Some(minutes * MINUTE), "the ban number {times}");
        assert_eq!(case.book.bans(case.start + at).next().unwrap().1.times, times);
        at += minutes * MINUTE;
        case.book.pass_time(case.start + at);
    }
    assert_eq!(case.tokens(2, 3, at), Some(MINUTE), "another source begins at the beginning");
}

#[test]
fn a_maximum_that_is_no_power_is_the_longest_all_the_same() {
    let mut case = Case::new();
    case.book.set_terms(BanConfig { duration_max: 3 * MINUTE, ..terms() });
    let mut at = Duration::ZERO;
    for minutes in [1, 2, 3, 3] {
        assert_eq!(case.tokens(1, 3, at), Some(minutes * MINUTE));
        at += minutes * MINUTE;
        case.book.pass_time(case.start + at);
    }
}

/// A source that was banned for 1, 2 and 4 minutes, and how long the next ban is after so much
/// quiet.
fn after_quiet(quiet: Duration) -> Option<Duration> {
    let mut case = Case::new();
    let mut at = Duration::ZERO;
    for minutes in [1, 2, 4] {
        assert_eq!(case.tokens(1, 3, at), Some(minutes * MINUTE));
        at += minutes * MINUTE;
        case.book.pass_time(case.start + at);
    }
    case.book.pass_time(case.start + at + quiet);
    case.tokens(1, 3, at + quiet)
}

#[test]
fn quiet_for_as_long_as_a_ban_takes_a_doubling_back() {
    for (quiet, next) in [(0, 8), (3, 8), (4, 4), (5, 4), (6, 2), (7, 1), (100, 1)] {
        let found = after_quiet(quiet * MINUTE);
        assert_eq!(found, Some(next * MINUTE), "after {quiet} minutes of quiet");
        let before = after_quiet(quiet * MINUTE + Duration::from_nanos(1));
        assert_eq!(before, found);
    }
    assert_eq!(after_quiet(4 * MINUTE - Duration::from_nanos(1)), Some(8 * MINUTE));
}

#[test]
fn nothing_is_kept_of_who_is_quiet_for_long_enough() {
    let mut case = Case::new();
    case.tokens(1, 3, Duration::ZERO);
    case.tokens(2, 1, Duration::ZERO);
    case.book.pass_time(case.start + 8 * SECOND);
    assert_eq!((case.book.watched.len(), case.book.seen.len()), (0, 0));
    // A ban of a minute, and as long again.
    case.book.pass_time(case.start + 2 * MINUTE - SECOND);
    assert_eq!(case.book.offenders.len(), 1);
    case.book.pass_time(case.start + 2 * MINUTE);
    let Book { offenders, ends, memory, .. } = &case.book;
    assert_eq!((offenders.len(), ends.len(), memory.len()), (0, 0, 0));
}

#[test]
fn a_lifted_source_begins_at_the_beginning() {
    let mut case = Case::new();
    case.tokens(1, 3, Duration::ZERO);
    case.book.pass_time(case.start + MINUTE);
    assert_eq!(case.book.lift(source(1), case.start + MINUTE), None, "it is over");
    assert_eq!(case.tokens(1, 3, MINUTE), Some(2 * MINUTE));
    let lifted = case.book.lift(source(1), case.start + MINUTE).unwrap();
    assert_eq!(lifted.times, 2);
    assert_eq!(case.banned(MINUTE), []);
    assert_eq!(case.book.lift(source(1), case.start + MINUTE), None);
    assert_eq!(case.book.next_end(), None);
    assert_eq!(case.tokens(1, 2, MINUTE), None);
    assert_eq!(case.tokens(1, 1, MINUTE), Some(MINUTE));
}

#[test]
fn other_terms_leave_bans_and_begin_counts_of_another_time_anew() {
    let mut case = Case::new();
    case.tokens(1, 3, Duration::ZERO);
    case.tokens(2, 1, Duration::ZERO);
    case.book.set_terms(BanConfig { invalid_tokens: 2, ..terms() });
    assert_eq!(case.tokens(2, 1, SECOND), Some(MINUTE), "the same time");
    case.tokens(3, 1, SECOND);
    case.book.set_terms(BanConfig { invalid_tokens: 2, within: 16 * SECOND, ..terms() });
    assert_eq!(case.banned(SECOND), [source(1), source(2)]);
    assert_eq!(case.tokens(3, 1, SECOND), None);
    assert_eq!(case.tokens(3, 1, SECOND), Some(MINUTE));
}

#[test]
fn of_too_many_watched_sources_the_least_recently_seen_makes_room() {
    let mut case = Case::new();
    let count = u32::try_from(SOURCES_MAX).unwrap();
    for from in 0..count {
        case.tokens(from, 2, Duration::from_micros(from.into()));
    }
    // Seen again, so that the second is the least recent.
    case.tokens(0, 0, SECOND);
    case.tokens(count, 2, SECOND);
    assert_eq!((case.book.watched.len(), case.book.seen.len()), (SOURCES_MAX, SOURCES_MAX));
    assert_eq!(case.tokens(1, 1, SECOND), None, "forgotten");
    assert_eq!(case.tokens(0, 1, SECOND), Some(MINUTE));
    assert_eq!(case.tokens(count, 1, SECOND), Some(MINUTE));
}

#[test]
fn of_too_many_bans_the_one_forgotten_first_makes_room() {
    let mut case = Case::new();
    let count = u32::try_from(SOURCES_MAX).unwrap();
    for from in 0..count {
        case.tokens(from, 3, Duration::from_micros(from.into()));
    }
    let now = case.start + SECOND;
    let outcome = case.book.report(source(count), evidence(3, now));
    assert_eq!(outcome.made_way, Some(source(0)));
    assert!(outcome.begun.is_some());
    let Book { offenders, ends, memory, .. } = &case.book;
    assert_eq!([offenders.len(), ends.len(), memory.len()], [SOURCES_MAX; 3]);
    case.book.pass_time(case.start + MINUTE + SECOND);
    let later = case.start + MINUTE + SECOND;
    let outcome = case.book.report(source(count + 1), evidence(3, later));
    assert_eq!(outcome.made_way, None, "one whose ban is over has none to end");
}

proptest! {
    /// Beside a book that remembers every token, for one source and without bans.
    #[test]
    fn a_ban_begins_where_tokens_were_within_the_time_and_only_there(
        gaps in prop::collection::vec((0_u64..6000, 1_u64..3), 1..60),
    ) {
        let mut case = Case::new();
        let mut at = Duration::ZERO;
        let mut tokens: Vec<Duration> = Vec::new();
        for (gap, count) in gaps {
            at += Duration::from_millis(gap);
            tokens.extend((0..count).map(|_| at));
            let within = |time: Duration| {
                tokens.iter().filter(|token| at - **token < time).count() >= 3
            };
            let banned = case.tokens(1, count, at).is_some();
            prop_assert!(!banned || within(8 * SECOND), "no ban without its tokens");
            prop_assert!(banned || !within(7 * SECOND), "no tokens without their ban");
            if banned {
                case.book.lift(source(1), case.start + at);
                tokens.clear();
            }
        }
    }
}
