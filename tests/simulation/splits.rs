//! Whatever a peer sends means the same however it is cut.

use std::fmt;
use std::sync::LazyLock;

use proptest::prelude::*;
use ringgate::simulation::{Blueprint, End};

use super::cases::all;
use super::oracle::{check, forwarded, responses};
use super::script::{CONFIG, Finale, Script, Seen, Step};

thread_local! {
    static BLUEPRINT: Blueprint = Blueprint::new(CONFIG);
}

fn corpus(folder: &str) -> Vec<Vec<u8>> {
    let sections = all(folder);
    sections.into_iter().flat_map(|section| section.cases).map(|case| case.bytes).collect()
}

static REQUESTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| corpus("requests"));
static RESPONSES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| corpus("responses"));

/// Runs a script, checks what was sent, and gives what of it may not depend on splits.
fn outcome(script: &Script) -> Outcome {
    let seen = BLUEPRINT.with(|blueprint| script.run(blueprint));
    check(script, &seen);
    Outcome::of(script, &seen)
}

#[derive(PartialEq, Eq)]
struct Outcome {
    /// The responses; none where one of them is bad: it is 502 if nothing of it had gone to the
    /// client, and cut off otherwise.
    answers: Option<Vec<Vec<u8>>>,
    /// The whole requests that were forwarded: of one that turned out bad, more or less has gone
    /// before that was seen.
    forwarded: Vec<Vec<u8>>,
}

impl Outcome {
    fn of(script: &Script, seen: &Seen) -> Self {
        let forwarded = seen.upstream.iter().flat_map(|stream| forwarded(stream).whole);
        let seen = responses(&script.client, &seen.client);
        let is_bad = |(head, _): &(&[u8], _)| head.starts_with(b"HTTP/1.1 502 ");
        // An upgrade's bytes come behind its response.
        let is_cut = seen.rest.starts_with(b"HTTP/");
        let answers = (!is_cut && !seen.whole.iter().any(is_bad)).then(|| {
            let rest = (seen.rest, Vec::new());
            let all = seen.whole.into_iter().chain([rest]);
            all.filter(|(head, _)| !head.starts_with(CONTINUE))
                .map(|(head, body)| [undated(head), body].concat())
                .collect()
        });
        Self { answers, forwarded: forwarded.map(|message| message.spelled()).collect() }
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, messages) in
            [("answer", self.answers.as_ref()), ("forwarded", Some(&self.forwarded))]
        {
            let messages = messages.into_iter().flatten();
            messages
                .into_iter()
                .try_for_each(|one| writeln!(f, "{what}: {}", one.escape_ascii()))?;
        }
        Ok(())
    }
}

/// Said only to a client that still waits for it.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Without the value of `Date`, which is that of the test's own time.
fn undated(head: &[u8]) -> Vec<u8> {
    let lines = head.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| !line.starts_with(b"Date: ")).flatten().copied().collect()
}

/// A step for each piece, each of which is at least a byte.
fn cut(bytes: usize, places: &[prop::sample::Index], piece: fn(usize) -> Step) -> Vec<Step> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.max(1))).collect();
    places.sort_unstable();
    places.dedup();
    places.iter().scan(0, |at, place| Some(piece(place - std::mem::replace(at, *place)))).collect()
}

/// Messages of the corpus one behind the other, some of them with a byte changed.
fn stream(of: &'static LazyLock<Vec<Vec<u8>>>) -> impl Strategy<Value = Vec<u8>> {
    let message = (any::<prop::sample::Index>(), any::<Option<(prop::sample::Index, u8)>>())
        .prop_map(|(at, edit)| {
            let mut bytes = of[at.index(of.len())].clone();
            if let (Some((place, byte)), false) = (edit, bytes.is_empty()) {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            bytes
        });
    prop::collection::vec(message, 1..4).prop_map(|messages| messages.concat())
}

fn places() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..8)
}

/// Longer messages come in pieces of more than a byte.
const PIECES_MAX: usize = 1000;

#[test]
fn what_fuzzing_has_found_stays_repaired() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/exchange");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        println!("{}", path.display());
        outcome(&Script::decode(&std::fs::read(path).unwrap()));
    }
}

#[test]
fn each_request_of_the_corpus_means_the_same_byte_by_byte() {
    for client in &*REQUESTS {
        let whole = Script {
            client: client.clone(),
            upstream: None,
            steps: Vec::new(),
            finale: Finale::Finish,
        };
        let mut bytes = whole.clone();
        let piece = 1 + client.len() / PIECES_MAX;
        bytes.steps = vec![Step::Client(piece); client.len().div_ceil(piece)];
        let shown = client.escape_ascii();
        assert_eq!(outcome(&whole), outcome(&bytes), "{shown}");
    }
}

#[test]
fn each_response_of_the_corpus_means_the_same_byte_by_byte() {
    for upstream in &*RESPONSES {
        let whole = Script {
            client: b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            upstream: Some(upstream.clone()),
            steps: vec![Step::Client(usize::MAX)],
            finale: Finale::Finish,
        };
        let mut bytes = whole.clone();
        bytes.steps.extend(vec![Step::Upstream(1); upstream.len()]);
        let shown = upstream.escape_ascii();
        assert_eq!(outcome(&whole), outcome(&bytes), "{shown}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_stream_of_requests_means_the_same_in_any_pieces(
        pieces in (stream(&REQUESTS), places()).prop_map(|(client, places)| Script {
            steps: cut(client.len(), &places, Step::Client),
            upstream: None,
            finale: Finale::Finish,
            client,
        }),
    ) {
        let whole = Script { steps: Vec::new(), ..pieces.clone() };
        prop_assert_eq!(outcome(&whole), outcome(&pieces));
    }

    #[test]
    fn whatever_happens_in_whatever_order_nothing_is_left_or_can_be_misread(
        script in script(),
    ) {
        outcome(&script);
    }
}

fn script() -> impl Strategy<Value = Script> {
    let steps = prop::collection::vec(step(), 0..12);
    let finale = prop_oneof![Just(Finale::Finish), Just(Finale::Reset), Just(Finale::Silence)];
    (stream(&REQUESTS), stream(&RESPONSES), steps, finale).prop_map(
        |(client, upstream, steps, finale)| Script {
            client,
            upstream: Some(upstream),
            steps,
            finale,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![Just(End::Finished), Just(End::Reset)];
    prop_oneof![
        4 => (1usize..500).prop_map(Step::Client),
        4 => (1usize..500).prop_map(Step::Upstream),
        2 => (1u32..12).prop_map(Step::Pass),
        1 => end.clone().prop_map(Step::ClientEnds),
        1 => end.prop_map(Step::UpstreamEnds),
        1 => (0usize..300).prop_map(Step::ClientRoom),
        1 => (0usize..300).prop_map(Step::UpstreamRoom),
        1 => Just(Step::Refuse),
        1 => Just(Step::Ignore),
    ]
}
