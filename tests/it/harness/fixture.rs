//! Fixture files: what goes over the wire, readable, and what must come of it.
//!
//! A file has `name: value` lines that say what is expected, an empty line, and then the bytes:
//! line breaks of the file mean nothing, `\r`, `\n`, `\t`, `\\`, `\0` and `\xHH` are bytes, and
//! `\{COUNT:TEXT}` is TEXT so many times. Lines that begin with `#` are comments.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// One fixture.
pub struct Fixture {
    /// Its file name without the extension.
    pub name: String,
    /// The bytes to send.
    pub bytes: Vec<u8>,
    expected: HashMap<String, String>,
}

impl Fixture {
    /// All fixtures of a folder under `tests/fixtures`, by name.
    pub fn all(folder: &str) -> Vec<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(folder);
        let mut fixtures: Vec<Self> =
            fs::read_dir(path).unwrap().map(|entry| Self::read(&entry.unwrap().path())).collect();
        fixtures.sort_by(|a, b| a.name.cmp(&b.name));
        assert!(!fixtures.is_empty(), "no fixtures in {folder}");
        fixtures
    }

    fn read(path: &Path) -> Self {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(path).unwrap();
        let (head, body) =
            text.split_once("\n\n").unwrap_or_else(|| panic!("{name}: no empty line"));
        let expected = uncommented(head).map(|line| {
            let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("{name}: {line:?}"));
            (key.to_owned(), value.to_owned())
        });
        Self {
            expected: expected.collect(),
            bytes: unescape(&uncommented(body).collect::<String>(), &name),
            name,
        }
    }

    /// The value of a line that must be there.
    #[track_caller]
    pub fn expected(&self, key: &str) -> &str {
        self.expected.get(key).unwrap_or_else(|| panic!("{}: no line {key}", self.name))
    }
}

/// The lines that are no comments.
fn uncommented(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with('#'))
}

/// Turns escapes into bytes.
pub fn unescape(text: &str, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = &rest[at + 1..];
        let simple = |byte: u8| (vec![byte], &escape[1..]);
        let (value, after) = match escape.as_bytes().first() {
            Some(b'r') => simple(b'\r'),
            Some(b'n') => simple(b'\n'),
            Some(b't') => simple(b'\t'),
            Some(b'0') => simple(0),
            Some(b'\\') => simple(b'\\'),
            Some(b'x') => {
                (vec![u8::from_str_radix(&escape[1..3], 16).expect("two hex digits")], &escape[3..])
            }
            Some(b'{') => {
                let (repeat, after) = escape[1..].split_once('}').expect("a closing brace");
                let (count, piece) = repeat.split_once(':').expect("COUNT:TEXT");
                (unescape(piece, name).repeat(count.parse().expect("a count")), after)
            }
            other => panic!("{name}: unknown escape {other:?}"),
        };
        bytes.extend(value);
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

#[test]
fn escapes_are_bytes() {
    assert_eq!(
        unescape("a\\r\\n\\x80\\0\\{3:xy}\\{2:\\n}\\\\z", "here"),
        b"a\r\n\x80\0xyxyxy\n\n\\z"
    );
}
