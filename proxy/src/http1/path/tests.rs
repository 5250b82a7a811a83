//! Normal forms by example, and what holds of all of them.

use proptest::prelude::*;

use super::*;

fn on(path: &str) -> Result<Cow<'_, str>, RequestError> {
    normalize(path, PathNormalization::On)
}

#[test]
fn a_path_becomes_its_normal_form() {
    for (path, expected) in [
        ("/./a", "/a"),
        ("/a/.", "/a/"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/b/../c", "/a/c"),
        ("/a/b/../../c", "/c"),
        ("/mid/content=5/../6", "/mid/6"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b/%2e", "/b/"),
        ("//", "/"),
        ("//a//b///", "/a/b/"),
        ("/a//../b", "/b"),
        ("/%7Euser/%61%2D%5f%39", "/~user/a-_9"),
        ("/a%2fb%5c%c3%a9", "/a%2Fb%5C%C3%A9"),
        ("/%252e%252e/%2561/%aa", "/%252e%252e/%2561/%AA"),
        ("/a/%2f/../b", "/a/b"),
    ] {
        assert_eq!(on(path).as_deref(), Ok(expected), "{path}");
    }
}

#[test]
fn a_path_in_normal_form_is_lent() {
    for path in
        ["/", "/a", "/a/", "/a.b/..c/...", "/a%2Fb%5C", "/%2F/a", "/a;b=c/;/d", "/%C3%A9[0]{b}|^`"]
    {
        assert!(matches!(on(path), Ok(Cow::Borrowed(same)) if same == path), "{path}");
    }
}

#[test]
fn a_path_without_one_meaning_is_refused() {
    for path in [
        "/..",
        "/../a",
        "/a/../..",
        "/%2e%2e",
        "//..",
        "/.%2e/a",
        "/./..",
        "/a%2f..",
        "/a%2F../b",
        "/..%2fb",
        "/a/.%5Cb",
        "/a%5c%2e",
        "/a%2f.%2fb",
        "/a%2f./../b",
    ] {
        assert_eq!(on(path), Err(RequestError::TargetDotSegment), "{path}");
    }
    for path in ["/%", "/%2", "/%zz", "/%+1", "/a%00b", "/a/%4/../b"] {
        for asked in [PathNormalization::On, PathNormalization::Off] {
            assert_eq!(normalize(path, asked), Err(RequestError::TargetEncoding), "{path}");
        }
    }
}

#[test]
fn encoded_slashes_are_refused_where_that_is_asked() {
    let strict = |path| normalize(path, PathNormalization::RejectEncodedSlash);
    for path in ["/a%2fb", "/%2F", "/a/%5cb", "/a%2f../b"] {
        assert_eq!(strict(path), Err(RequestError::TargetEncodedSlash), "{path}");
    }
    assert_eq!(strict("/a/../%61%252f").as_deref(), Ok("/a%252f"));
}

#[test]
fn off_changes_nothing_and_refuses_dot_segments() {
    let off = |path| normalize(path, PathNormalization::Off);
    for path in ["//a//", "/%61", "/a%2fb", "/...", "/%2e%2e%2e", "/.well-known/x"] {
        assert!(matches!(off(path), Ok(Cow::Borrowed(same)) if same == path), "{path}");
    }
    for path in ["/.", "/a/../b", "/%2E%2e/a", "/a%2f..%2Fb", "/a%5c..", "/a/%2e%2e%5cb"] {
        assert_eq!(off(path), Err(RequestError::TargetDotSegment), "{path}");
    }
}

/// RFC 3986 section 5.2.4, step by step, after the other rules, on decoded segments.
fn slow(path: &str) -> Option<String> {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut decoded = path.to_owned();
    for octet in 0..=255_u8 {
        for spelled in [
            format!("%{octet:02x}"),
            format!("%{octet:02X}"),
            format!("%{:x}{:X}", octet >> 4, octet & 15),
            format!("%{:X}{:x}", octet >> 4, octet & 15),
        ] {
            let plain = if unreserved(octet) {
                char::from(octet).to_string()
            } else {
                format!("%{octet:02X}")
            };
            decoded = decoded.replace(&spelled, &plain);
        }
    }
    while decoded.contains("//") {
        decoded = decoded.replace("//", "/");
    }
    let split = decoded.replace("%2F", "/|").replace("%5C", "/|");
    if split.contains("|.") || split.contains("./|") {
        // Only of such paths is more asked than the RFC says.
        let is_dots = |segment: &str| matches!(segment, "." | "..");
        let segments: Vec<&str> = split.split('/').collect();
        let beside = |at: usize| {
            segments[at].starts_with('|')
                || segments.get(at + 1).is_some_and(|next| next.starts_with('|'))
        };
        if (0..segments.len()).any(|at| is_dots(segments[at].trim_start_matches('|')) && beside(at))
        {
            return None;
        }
    }
    let mut input = decoded;
    let mut output = String::new();
    while !input.is_empty() {
        if let Some(rest) = input.strip_prefix("/./") {
            input = format!("/{rest}");
        } else if input == "/." {
            "/".clone_into(&mut input);
        } else if let Some(rest) = input.strip_prefix("/../") {
            output.truncate(output.rfind('/')?);
            input = format!("/{rest}");
        } else if input == "/.." {
            output.truncate(output.rfind('/')?);
            "/".clone_into(&mut input);
        } else {
            let end = input[1..].find('/').map_or(input.len(), |at| at + 1);
            output.push_str(&input[..end]);
            input.drain(..end);
        }
    }
    Some(output)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn is_what_the_rfc_says(path in "(/(a|b|\\.|\\.\\.|%2e|%2E|%2f|%5C|%61|%c3|%25|;|\\.a){0,3}){1,6}") {
        prop_assert_eq!(on(&path).ok().map(Cow::into_owned), slow(&path), "{}", path);
    }

    #[test]
    fn the_normal_form_of_a_normal_form_is_itself(path in "(/(a|\\.|%2e|%2f|%5c|%61|%7e|%ff|%25|2e|;){0,4}){1,6}") {
        if let Ok(once) = on(&path) {
            prop_assert!(matches!(on(&once), Ok(Cow::Borrowed(again)) if again == once), "{}", once);
            let sent = normalize(&once, PathNormalization::Off);
            prop_assert_eq!(sent.as_deref(), Ok(&*once));
        }
    }
}
