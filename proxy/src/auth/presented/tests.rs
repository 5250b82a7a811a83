//! Cookies, query parameters and several locations at once.

use super::*;

fn cookie(name: &str) -> TokenLocation {
    TokenLocation::Cookie(name.into())
}

fn query(name: &str) -> TokenLocation {
    TokenLocation::Query(name.into())
}

fn bearer() -> TokenLocation {
    Credentials::default().locations.remove(0)
}

fn found<'b>(
    fields: &[(&'b str, &'b str)],
    query: Option<&'b str>,
    locations: Vec<TokenLocation>,
    all_must_verify: bool,
) -> Result<Vec<&'b str>, Reason> {
    let fields: Vec<Field<'b>> =
        fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
    let presented = Presented { fields: &fields, query };
    let found = Found::in_request(presented, &Credentials { locations, all_must_verify })?;
    Ok(found.tokens().map(|token| str::from_utf8(token).unwrap()).collect())
}

#[test]
fn e6_tokens_in_two_locations_are_refused_equal_or_not() {
    let both = || vec![bearer(), cookie("t")];
    for second in ["t=a", "t=b"] {
        let fields = [("Authorization", "Bearer a"), ("Cookie", second)];
        assert_eq!(found(&fields, None, both(), false), Err(Reason::MultipleCredentials));
        let all = found(&fields, None, both(), true).unwrap();
        assert_eq!(all, ["a", second.strip_prefix("t=").unwrap()]);
    }
    assert_eq!(found(&[("Cookie", "t=a")], None, both(), false), Ok(vec!["a"]));
    let basic = [("Authorization", "Basic x"), ("Cookie", "t=a")];
    assert_eq!(found(&basic, None, both(), false), Ok(vec!["a"]));
}

#[test]
fn e7_a_query_token_is_found_only_where_configured() {
    let token = Some("a=1&access_token=x.y.z&b=2");
    assert_eq!(found(&[], token, vec![bearer()], false), Ok(vec![]));
    let on = || vec![query("access_token")];
    assert_eq!(found(&[], token, on(), false), Ok(vec!["x.y.z"]));
    assert_eq!(found(&[], Some("access%5Ftoken=x"), on(), false), Ok(vec!["x"]));
    for twice in [
        "access_token=x&access_token=x",
        "access_token=x&access%5ftoken=y",
        "access_token&access_token=x",
    ] {
        assert_eq!(found(&[], Some(twice), on(), false), Err(Reason::MultipleCredentials));
    }
    for empty in ["access_token=", "access_token", "a=1&access_token=&b"] {
        assert_eq!(found(&[], Some(empty), on(), false), Err(Reason::MalformedCredentials));
    }
    for other in ["Access_token=x", "access_tokens=x", "access_toke=x", "access%5=x", "%61", ""] {
        assert_eq!(found(&[], Some(other), on(), false), Ok(vec![]), "{other}");
    }
}

#[test]
fn e8_a_cookie_is_found_by_its_exact_name() {
    let on = || vec![cookie("tok")];
    for value in
        ["tok=a.b.c", "x=1; tok=a.b.c", "x=1;tok=a.b.c ; y", "tok=\"a.b.c\"", "TOK=x; tok=a.b.c"]
    {
        assert_eq!(found(&[("cookie", value)], None, on(), false), Ok(vec!["a.b.c"]), "{value}");
    }
    let split = [("Cookie", "x=1"), ("Cookie", "tok=a.b.c")];
    assert_eq!(found(&split, None, on(), false), Ok(vec!["a.b.c"]));
    for twice in
        [vec![("Cookie", "tok=a; tok=a")], vec![("Cookie", "tok=a"), ("Cookie", "x=1; tok=b")]]
    {
        assert_eq!(found(&twice, None, on(), false), Err(Reason::MultipleCredentials));
    }
    assert_eq!(found(&[("Cookie", "tok=")], None, on(), false), Err(Reason::MalformedCredentials));
    for other in ["Tok=a", "xtok=a", "tok", "", ";;="] {
        assert_eq!(found(&[("Cookie", other)], None, on(), false), Ok(vec![]), "{other}");
    }
}
