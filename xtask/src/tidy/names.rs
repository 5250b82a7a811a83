//! Files, modules and types are named for their subject.

use super::{Source, Violation};

/// Names without a subject: they collect code without an owner.
const REFUSED: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "manager"];

pub(super) fn check(source: &Source<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for part in source.path.trim_end_matches(".rs").split('/') {
        if let Some(word) = refused(part) {
            violations.push(Violation::new(1, format!("the path says `{word}`, not its subject")));
        }
    }
    for pair in source.tokens.windows(2) {
        let kind @ ("mod" | "struct" | "enum" | "trait" | "type") =
            pair[0].ident().unwrap_or_default()
        else {
            continue;
        };
        if let Some((name, word)) = pair[1].ident().and_then(|name| Some((name, refused(name)?))) {
            let what = format!("{kind} `{name}` says `{word}`, not its subject");
            violations.push(Violation::new(pair[1].line, what));
        }
    }
    violations
}

/// The refused word in a snake_case or CamelCase name.
fn refused(name: &str) -> Option<&'static str> {
    let mut spaced = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_uppercase() || !letter.is_alphanumeric() {
            spaced.push(' ');
        }
        spaced.extend(letter.to_lowercase());
    }
    let is_word = |word: &&&str| spaced.split(|c: char| !c.is_alphanumeric()).any(|w| w == **word);
    REFUSED.iter().find(is_word).copied()
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::{check, refused};

    #[test]
    fn words_are_found_in_both_cases_and_parts_of_words_are_not() {
        assert_eq!(refused("http_utils"), Some("utils"));
        assert_eq!(refused("ConnectionManager"), Some("manager"));
        assert_eq!(refused("common"), Some("common"));
        assert_eq!(refused("uncommon"), None);
        assert_eq!(refused("CommonsLicence"), None);
        assert_eq!(refused("management"), None);
    }

    #[test]
    fn paths_modules_and_types_are_named_for_a_subject() {
        let in_path = "the path says `helpers`, not its subject".to_owned();
        assert_eq!(found(check, "a/helpers/b.rs", "//! a"), [(1, in_path)]);
        let text = "//! a\nmod util;\nstruct PoolManager;\nlet helper = 1;";
        let expected = [
            (2, "mod `util` says `util`, not its subject".to_owned()),
            (3, "struct `PoolManager` says `manager`, not its subject".to_owned()),
        ];
        assert_eq!(found(check, "a.rs", text), expected);
    }
}
