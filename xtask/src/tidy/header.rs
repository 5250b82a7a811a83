//! Every file begins with the sentence that states its responsibility.

use super::{Source, Violation};

pub(super) fn check(source: &Source<'_>) -> Vec<Violation> {
    let first = source.text.lines().next().unwrap_or_default();
    match first.strip_prefix("//!").map(str::trim) {
        Some(sentence) if !sentence.is_empty() => Vec::new(),
        _ => vec![Violation::new(1, "does not begin with `//!` and what the file is for")],
    }
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::check;

    #[test]
    fn the_first_line_is_a_sentence() {
        let missing = "does not begin with `//!` and what the file is for".to_owned();
        assert_eq!(found(check, "a.rs", "//! Cuts heads.\nfn a() {}"), []);
        assert_eq!(found(check, "a.rs", "//!\nfn a() {}"), [(1, missing.clone())]);
        assert_eq!(found(check, "a.rs", "fn a() {}\n"), [(1, missing.clone())]);
        assert_eq!(found(check, "a.rs", ""), [(1, missing)]);
    }
}
