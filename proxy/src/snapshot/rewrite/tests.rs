//! Paths before and after.

use proptest::prelude::*;

use super::*;

#[test]
fn a_prefix_takes_the_place_of_the_routes_segments() {
    for (segments, to, path, expected) in [
        (1, "/new", "/orders", "/new"),
        (1, "/new", "/orders/", "/new/"),
        (1, "/new", "/orders/1", "/new/1"),
        (1, "/new/", "/orders", "/new/"),
        (1, "/new/", "/orders/1", "/new/1"),
        (1, "/", "/orders", "/"),
        (1, "/", "/orders/1/2/", "/1/2/"),
        (2, "/a/b/c", "/x/y", "/a/b/c"),
        (2, "/a", "/x/y/z%2Fz", "/a/z%2Fz"),
        (0, "/new", "/", "/new/"),
        (0, "/new", "/x/y", "/new/x/y"),
        (0, "/", "/x", "/x"),
        // What parameters a segment has goes with it, and what has no name is passed over.
        (1, "/new", "/orders;v=1/2;w", "/new/2;w"),
        (1, "/new", "//;v/orders//2", "/new//2"),
    ] {
        let found = PrefixRewrite::new(segments, to).apply(path);
        assert_eq!(found, expected, "{segments} {to} {path}");
    }
}

fn rewritten(pattern: &str, to: &str, path: &str) -> Option<String> {
    PatternRewrite::parse(pattern, to).unwrap().apply(path, &mut None)
}

#[test]
fn a_pattern_takes_the_whole_path_or_nothing() {
    for (pattern, to, path, expected) in [
        ("/v1/(.*)", "/$1", "/v1/a/b", Some("/a/b")),
        ("/v1/(.*)", "/$1", "/x/v1/a", None),
        ("/v1/(a)", "/$1", "/v1/ab", None),
        ("/a|/ab", "/x", "/ab", Some("/x")),
        ("/(?<user>[a-z]+)/(\\d+)", "/${2}/of/${user}", "/bob/17", Some("/17/of/bob")),
        ("/a(/b)?(/c)?", "/x$1$2", "/a/c", Some("/x/c")),
        ("/a", "/$$1", "/a", Some("/$1")),
        ("(?i)/A", "/$0", "/a", Some("//a")),
        ("(?m)^/a$", "/b", "/a", Some("/b")),
        ("/(.)", "/${1}1", "/a", Some("/a1")),
    ] {
        assert_eq!(rewritten(pattern, to, path).as_deref(), expected, "{pattern} {to} {path}");
    }
}

#[test]
fn what_cannot_be_read_or_does_not_fit_is_said() {
    let error = |pattern: &str, to: &str| PatternRewrite::parse(pattern, to).unwrap_err();
    assert!(matches!(error("/(", "/"), RewriteError::Pattern(_)));
    assert!(matches!(error("/a)(/b", "/"), RewriteError::Pattern(_)));
    assert!(matches!(error("(a)\\1", "/"), RewriteError::Pattern(_)));
    assert_eq!(error("(?x)/a#", "/"), RewriteError::PatternComment);
    assert_eq!(error("(a{100}){100}", "/"), RewriteError::PatternLarge);
    assert_eq!(error(&"a".repeat(1025), "/"), RewriteError::PatternLong);
    assert_eq!(error("/a", &"a".repeat(1025)), RewriteError::TemplateLong);
    assert_eq!(error("/a", "/$"), RewriteError::Reference);
    assert_eq!(error("/a", "/$x"), RewriteError::Reference);
    assert_eq!(error("/a", "/${"), RewriteError::Reference);
    assert_eq!(error("/a", "/${}"), RewriteError::Reference);
    assert_eq!(error("/(a)", "/$2"), RewriteError::Group("2".into()));
    assert_eq!(error("/(?<a>a)", "/${b}"), RewriteError::Group("b".into()));
}

proptest! {
    /// What a worker remembers of one path says nothing about the next.
    #[test]
    fn scratch_is_scratch(paths in proptest::collection::vec("(/[ab]{0,3}){1,4}", 1..8)) {
        let rewrite = PatternRewrite::parse("(/a*)(?:/(b+)|(.*))*", "$2:$1:$3").unwrap();
        let mut kept = None;
        for path in paths {
            prop_assert_eq!(rewrite.apply(&path, &mut kept), rewrite.apply(&path, &mut None));
        }
    }
}
