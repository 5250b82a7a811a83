//! A module of the gateway uses lower layers only.
//!
//! Checked on `crate::` and `super::` paths, tests included: a test that needs a higher layer
//! belongs to that layer or to the integration tests.

use proc_macro2::Delimiter;

use super::tokens::{self, Kind, Token};
use super::{Source, Violation};

const FOLDER: &str = "proxy/src/";

/// Top-level modules and their ranks. A path may lead to a lower rank only, so modules of one
/// rank know nothing of each other.
const RANKS: &[(&str, u32)] = &[
    ("crypto", 9),
    ("telemetry", 10),
    ("snapshot", 11),
    ("http1", 20),
    ("proxy_protocol", 20),
    ("auth", 30),
    ("tls", 30),
    ("uring", 40),
    ("kernel", 40),
    ("upstream", 50),
    ("relay", 50),
    ("worker", 60),
    ("control", 70),
    ("gateway", 80),
    ("simulation", 80),
    ("cli", 81),
    ("main", 82),
];

pub(super) fn check(source: &Source<'_>) -> Vec<Violation> {
    let Some(path) = source.path.strip_prefix(FOLDER) else { return Vec::new() };
    let mut module: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
    if module.last() == Some(&"mod") {
        module.pop();
    }
    if module == ["lib"] {
        return Vec::new();
    }
    let own = module[0];
    let Some(own_rank) = rank(own) else {
        return vec![Violation::new(1, format!("`{own}` has no place in the layers"))];
    };
    let mut violations = Vec::new();
    for (line, target) in paths_from_root(&source.tokens, module.len()) {
        let Some(target_rank) = rank(&target) else { continue };
        if target != own && target_rank >= own_rank {
            let what = format!("`{own}` uses `{target}`, which is not in a lower layer");
            violations.push(Violation::new(line, what));
        }
    }
    violations
}

fn rank(module: &str) -> Option<u32> {
    RANKS.iter().find(|(name, _)| *name == module).map(|(_, rank)| *rank)
}

/// The first name of each path that starts at the crate's root, in a file `depth` modules deep.
fn paths_from_root(all: &[Token], depth: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    // Places where an inline `mod x { .. }` ends.
    let mut inline: Vec<usize> = Vec::new();
    let mut at = 0;
    while at < all.len() {
        inline.retain(|end| *end > at);
        if opens_module(all, at) {
            inline.push(tokens::closing(all, at + 2));
        }
        let (supers, after) = supers(all, at);
        let at_root = match supers {
            0 => all[at].is_ident("crate") && tokens::is_path_separator(all, at + 1),
            supers => supers == depth + inline.len(),
        };
        if at_root {
            found.extend(names_at(all, if supers == 0 { at + 3 } else { after }));
        }
        at = after.max(at + 1);
    }
    found
}

fn opens_module(all: &[Token], at: usize) -> bool {
    all[at].is_ident("mod")
        && all.get(at + 1).and_then(Token::ident).is_some()
        && all.get(at + 2).is_some_and(|token| token.kind == Kind::Open(Delimiter::Brace))
}

/// How many `super::` stand here one after the other, and the place after them.
fn supers(all: &[Token], at: usize) -> (usize, usize) {
    let (mut count, mut place) = (0, at);
    while all.get(place).is_some_and(|token| token.is_ident("super"))
        && tokens::is_path_separator(all, place + 1)
    {
        count += 1;
        place += 3;
    }
    (count, place)
}

/// The name at this place, or the first names of the paths in `{a, b::c}`.
fn names_at(all: &[Token], at: usize) -> Vec<(usize, String)> {
    let Some(token) = all.get(at) else { return Vec::new() };
    if token.kind != Kind::Open(Delimiter::Brace) {
        return token.ident().map(|name| (token.line, name.to_owned())).into_iter().collect();
    }
    let (mut names, mut place, end) = (Vec::new(), at + 1, tokens::closing(all, at));
    let mut starts = true;
    while place < end {
        let token = &all[place];
        match &token.kind {
            Kind::Ident(name) if starts => names.push((token.line, name.clone())),
            Kind::Open(_) => place = tokens::closing(all, place),
            _ => {}
        }
        starts = token.kind == Kind::Punct(',');
        place += 1;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::check;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        found(check, path, text).into_iter().map(|(line, _)| line).collect()
    }

    #[test]
    fn a_path_leads_to_a_lower_layer() {
        let path = "proxy/src/auth/claims.rs";
        assert_eq!(lines(path, "use crate::http1::Field;\nuse crate::auth::bearer;"), [0; 0]);
        let expected = "`auth` uses `worker`, which is not in a lower layer".to_owned();
        assert_eq!(found(check, path, "use crate::worker::Reply;"), [(1, expected)]);
    }

    #[test]
    fn modules_of_one_rank_know_nothing_of_each_other() {
        assert_eq!(lines("proxy/src/relay/copy.rs", "use crate::upstream::pool;"), [1]);
        assert_eq!(lines("proxy/src/snapshot/mod.rs", "use crate::telemetry::labels;"), [0; 0]);
        assert_eq!(lines("proxy/src/telemetry/mod.rs", "use crate::snapshot::ids;"), [1]);
    }

    #[test]
    fn each_branch_of_a_group_is_a_path() {
        let text = "use crate::{\n    http1::{Field, worker},\n    control::config,\n    cli,\n};";
        assert_eq!(lines("proxy/src/worker/mod.rs", text), [3, 4]);
    }

    #[test]
    fn expressions_are_paths_and_comments_are_not() {
        let text = "//! [`crate::worker`]\nfn a() { crate::worker::start(\"crate::cli\"); }";
        assert_eq!(lines("proxy/src/http1/mod.rs", text), [2]);
    }

    #[test]
    fn super_counts_when_it_reaches_the_root() {
        let text = "use super::super::worker::a;\nuse super::worker::b;";
        assert_eq!(lines("proxy/src/auth/claims.rs", text), [1]);
        assert_eq!(lines("proxy/src/auth/mod.rs", text), [2]);
        let inline = "mod tests {\n    use super::worker;\n    use super::super::worker;\n}\nuse super::worker;";
        assert_eq!(lines("proxy/src/auth/mod.rs", inline), [3, 5]);
    }

    #[test]
    fn a_new_module_needs_a_place_and_other_packages_do_not() {
        let expected = "`extras` has no place in the layers".to_owned();
        assert_eq!(found(check, "proxy/src/extras/mod.rs", "//! a"), [(1, expected)]);
        assert_eq!(lines("xtask/src/main.rs", "use crate::worker;"), [0; 0]);
        assert_eq!(lines("proxy/src/lib.rs", "pub mod worker;"), [0; 0]);
    }
}
