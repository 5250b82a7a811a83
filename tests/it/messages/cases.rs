//! Files of cases: raw messages, readable, each with what must become of it.
//!
//! ```text
//! # A comment, before the first case.
//! gateway: forwarding
//!
//! --- what the case shows
//! POST / HTTP/1.1
//! Host: a
//! Content-Length: 5
//!
//! hello\
//! => forwarded, closes
//! POST / HTTP/1.1
//! ...
//! ```
//!
//! A line of a message stands for its bytes and CR LF; one that ends in `\` has no CR LF. Escapes are
//! those of [`unescape`]. `=>` says what becomes of the message, with the bytes that come of it below,
//! and an empty line before the next case belongs to neither. Names are unique in a file.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::fixture::unescape;

/// The cases for one of the runner's gateways.
pub struct Section {
    /// Which.
    pub gateway: String,
    /// In the order of the files.
    pub cases: Vec<Case>,
}

/// One raw message or stream of messages.
pub struct Case {
    /// The file and the text behind `---`.
    pub name: String,
    /// The words behind `<=`: the circumstances.
    pub setting: Vec<String>,
    /// What is sent.
    pub bytes: Vec<u8>,
    /// What becomes of it, in order.
    pub outcomes: Vec<Outcome>,
}

/// What becomes of one message.
pub struct Outcome {
    /// The words behind `=>`, up to the first comma.
    pub what: Vec<String>,
    /// What stands behind the commas.
    pub flags: Vec<String>,
    /// The bytes below it.
    pub bytes: Vec<u8>,
}

impl Outcome {
    /// Whether it is marked with this word.
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|one| one == flag)
    }
}

/// The cases in a folder under `tests/fixtures/http`, by their gateway.
pub fn all(folder: &str) -> Vec<Section> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let path = root.map(|at| at.join("tests/fixtures/http").join(folder)).find(|at| at.is_dir());
    let mut paths: Vec<PathBuf> = fs::read_dir(path.expect("the fixtures"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mut by_gateway: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    for (gateway, cases) in paths.iter().map(|path| read(path)) {
        by_gateway.entry(gateway).or_default().extend(cases);
    }
    by_gateway.into_iter().map(|(gateway, cases)| Section { gateway, cases }).collect()
}

/// The cases of a file and their gateway.
fn read(path: &Path) -> (String, Vec<Case>) {
    let file = path.file_stem().unwrap().to_string_lossy();
    let text = fs::read_to_string(path).unwrap();
    let mut parts = text.split("\n--- ");
    let head = parts.next().unwrap();
    let gateway = head.lines().find_map(|line| line.strip_prefix("gateway: ")).unwrap_or("plain");
    let cases: Vec<Case> = parts.map(|part| case(&file, part)).collect();
    let mut names = HashSet::new();
    for case in &cases {
        assert!(names.insert(&case.name), "{} is there twice", case.name);
    }
    assert!(!cases.is_empty(), "{file}: no case");
    (gateway.to_owned(), cases)
}

fn case(file: &str, text: &str) -> Case {
    let (name, rest) = text.split_once('\n').unwrap();
    let name = format!("{file}: {name}");
    // The line feed of the last line was cut off with the mark of the next case.
    let rest = rest.strip_suffix('\n').unwrap_or(rest);
    let mut setting = Vec::new();
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut bytes = Vec::new();
    for line in rest.split('\n') {
        if let Some(words) = line.strip_prefix("<= ") {
            setting.extend(words.split(' ').map(str::to_owned));
        } else if let Some(words) = line.strip_prefix("=> ") {
            let mut parts = words.split(", ");
            let what = parts.next().unwrap().split(' ').map(str::to_owned).collect();
            let flags = parts.map(str::to_owned).collect();
            outcomes.push(Outcome { what, flags, bytes: Vec::new() });
        } else {
            let into = outcomes.last_mut().map_or(&mut bytes, |outcome| &mut outcome.bytes);
            add_line(into, line, &name);
        }
    }
    assert!(!outcomes.is_empty(), "{name}: nothing becomes of it");
    Case { name, setting, bytes, outcomes }
}

/// A line stands for its bytes and CR LF, unless it ends in a backslash that escapes nothing.
fn add_line(into: &mut Vec<u8>, line: &str, name: &str) {
    let backslashes = line.len() - line.trim_end_matches('\\').len();
    if backslashes % 2 == 1 {
        into.extend(unescape(&line[..line.len() - 1], name));
    } else {
        into.extend(unescape(line, name));
        into.extend_from_slice(b"\r\n");
    }
}

#[test]
fn a_case_is_its_bytes_and_what_becomes_of_them() {
    let text = "a name\n<= HEAD\nGET / HTTP/1.1\nHost: a\\\\\nX: \\0\\\n\\n\\\n=> forwarded, closes\n\
                GET\n\n";
    let case = case("file", text);
    assert_eq!(
        (case.name.as_str(), case.setting.as_slice()),
        ("file: a name", &["HEAD".into()][..])
    );
    assert_eq!(case.bytes, b"GET / HTTP/1.1\r\nHost: a\\\r\nX: \0\n");
    let [outcome] = case.outcomes.as_slice() else { panic!("one outcome") };
    assert_eq!(outcome.what, ["forwarded"]);
    assert!(outcome.has("closes") && !outcome.has("stays"));
    assert_eq!(outcome.bytes, b"GET\r\n\r\n");
}
