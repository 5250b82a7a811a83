//! What users read names no folder of the machine that it was written on.

use super::Violation;

/// Beginnings of paths that exist on some machines only.
const REFUSED: &[&str] = &["/work/", "/tmp/", "/home/", "/root/", "../shared"];

/// Whether a file that is not Rust is checked. Fixtures hold what the tests need, not prose.
pub(super) fn covers(path: &str) -> bool {
    let suffixes = [".md", ".toml", ".json", ".service"];
    suffixes.iter().any(|suffix| path.ends_with(suffix)) && !path.starts_with("tests/fixtures/")
}

/// All lines of a document; the comment lines of a Rust file.
pub(super) fn check(path: &str, text: &str) -> Vec<Violation> {
    let prose = |line: &str| !path.ends_with(".rs") || line.trim_start().starts_with("//");
    let mut violations = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| prose(line)) {
        if let Some(refused) = REFUSED.iter().find(|refused| line.contains(**refused)) {
            violations.push(Violation::new(index + 1, format!("`{refused}` is a machine's path")));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::{Violation, check, covers};

    #[test]
    fn documents_and_comments_are_checked_and_code_is_not() {
        let found = |line| vec![Violation::new(line, "`/tmp/` is a machine's path")];
        let path = ["see ", "/tmp/", "a"].concat();
        assert_eq!(check("a.md", &format!("text\n{path}\n")), found(2));
        assert_eq!(check("a.rs", &format!("//! a\n  // {path}\n")), found(2));
        assert_eq!(check("a.rs", &format!("//! a\nlet a = \"{path}\";\n")), []);
        assert!(covers("config/examples/full.json"));
        assert!(!covers("tests/fixtures/a.json"));
        assert!(!covers("Cargo.lock"));
    }
}
