//! Files and functions stay small enough to be read in one go.

use proc_macro2::Delimiter;

use super::tokens::{self, Kind, Token};
use super::{Source, Violation};

const FILE_LINES_MAX: usize = 500;
/// From `fn` to the closing brace, both counted.
const FUNCTION_LINES_MAX: usize = 70;

pub(super) fn check(source: &Source<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        let what = format!("{lines} lines; a file has {FILE_LINES_MAX} at most");
        violations.push(Violation::new(FILE_LINES_MAX + 1, what));
    }
    let all = &source.tokens;
    for (at, token) in all.iter().enumerate() {
        let Some(name) = all.get(at + 1).and_then(Token::ident) else { continue };
        if !token.is_ident("fn") {
            continue;
        }
        let Some(last) = last_line(all, at) else { continue };
        let lines = last + 1 - token.line;
        if lines > FUNCTION_LINES_MAX {
            let limit = FUNCTION_LINES_MAX;
            let what = format!("`{name}` has {lines} lines; a function has {limit} at most");
            violations.push(Violation::new(token.line, what));
        }
    }
    violations
}

/// The last line of the body of the function whose `fn` is at `at`; none for a mere signature.
fn last_line(all: &[Token], at: usize) -> Option<usize> {
    let mut place = at;
    loop {
        match all.get(place)?.kind {
            Kind::Open(Delimiter::Brace) => {
                return Some(all.get(tokens::closing(all, place))?.line);
            }
            Kind::Open(_) => place = tokens::closing(all, place),
            Kind::Close(_) | Kind::Punct(';') => return None,
            _ => {}
        }
        place += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::check;

    fn function(lines: usize) -> String {
        format!("//! a\nfn long(a: [u8; 2]) -> u8\n{{\n{}}}\n", "    step();\n".repeat(lines - 3))
    }

    #[test]
    fn a_function_of_70_lines_passes_and_of_71_not() {
        let expected = "`long` has 71 lines; a function has 70 at most".to_owned();
        assert_eq!(found(check, "a.rs", &function(70)), []);
        assert_eq!(found(check, "a.rs", &function(71)), [(2, expected)]);
    }

    #[test]
    fn a_file_of_500_lines_passes_and_of_501_not() {
        let file = |lines: usize| format!("//! a\n{}", "const A: u8 = 1;\n".repeat(lines - 1));
        let expected = "501 lines; a file has 500 at most".to_owned();
        assert_eq!(found(check, "a.rs", &file(500)), []);
        assert_eq!(found(check, "a.rs", &file(501)), [(501, expected)]);
    }

    #[test]
    fn signatures_and_function_pointers_have_no_body() {
        let text = format!(
            "trait A {{\n    fn a(&self);\n}}\nstruct B(fn(u8));\nfn c() {{\n{}}}\n",
            "    step();\n".repeat(60)
        );
        assert_eq!(found(check, "a.rs", &text), []);
    }
}
