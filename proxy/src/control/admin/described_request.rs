//! A request as JSON describes it, written as the client would send it: the parser that judges
//! clients judges it too.

use serde_json::{Map, Value};

use crate::auth::UnixTime;
use crate::tls::ClientCertificate;

/// What is to be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DescribedRequest {
    /// None: the only one.
    pub(super) listener: Option<String>,
    /// The head in bytes.
    pub(super) head: Vec<u8>,
    /// What the client has shown; none: nothing.
    pub(super) certificate: Option<ClientCertificate>,
    /// None: the clock's.
    pub(super) now: Option<UnixTime>,
}

const MEMBERS: [&str; 6] = ["listener", "method", "target", "headers", "client_certificate", "now"];
const CERTIFICATE_MEMBERS: [&str; 3] = ["subject", "names", "thumbprint"];

impl DescribedRequest {
    /// Reads a description; the error names the member and says what it should be.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(body)
            .map_err(|error| format!("the body is not JSON: {error}"))?;
        let Value::Object(members) = value else {
            return Err("the body is no JSON object".to_owned());
        };
        if let Some(unknown) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
            let known = MEMBERS.join(", ");
            return Err(format!("{unknown}: not known; allowed: {known}"));
        }
        let method = text(&members, "method")?.unwrap_or("GET");
        let target = text(&members, "target")?.ok_or("target: missing; such as \"/orders/1\"")?;
        for (name, value) in [("method", method), ("target", target)] {
            if value.is_empty() || value.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
                return Err(format!("{name}: empty, or with a space or control character"));
            }
        }
        let mut head = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
        write_fields(members.get("headers"), &mut head)?;
        head.extend_from_slice(b"\r\n");
        let now = match members.get("now") {
            None | Some(Value::Null) => None,
            Some(now) => {
                let seconds = now.as_i64().ok_or("now: no whole number of seconds since 1970")?;
                Some(UnixTime(seconds))
            }
        };
        let listener = text(&members, "listener")?.map(str::to_owned);
        let certificate = certificate(members.get("client_certificate"))?;
        Ok(Self { listener, head, certificate, now })
    }
}

/// What the client has shown, as upstreams are told of it.
fn certificate(value: Option<&Value>) -> Result<Option<ClientCertificate>, String> {
    let members = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(members)) => members,
        Some(_) => return Err("client_certificate: no object".to_owned()),
    };
    if let Some(unknown) = members.keys().find(|name| !CERTIFICATE_MEMBERS.contains(&name.as_str()))
    {
        let known = CERTIFICATE_MEMBERS.join(", ");
        return Err(format!("client_certificate.{unknown}: not known; allowed: {known}"));
    }
    let member = |name| match text(members, name) {
        Ok(text) => Ok(text.unwrap_or_default().to_owned()),
        Err(what) => Err(format!("client_certificate.{what}")),
    };
    let [subject, names, thumbprint] = CERTIFICATE_MEMBERS.map(member);
    Ok(Some(ClientCertificate { subject: subject?, names: names?, thumbprint: thumbprint? }))
}

/// A member that is a string, if it is there.
fn text<'v>(members: &'v Map<String, Value>, name: &str) -> Result<Option<&'v str>, String> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{name}: no string")),
    }
}

/// Field lines, of a list of pairs or of an object.
fn write_fields(headers: Option<&Value>, head: &mut Vec<u8>) -> Result<(), String> {
    match headers {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Array(list)) => list.iter().enumerate().try_for_each(|(index, pair)| {
            let place = format!("headers[{index}]");
            match pair.as_array().map(Vec::as_slice) {
                Some([Value::String(name), Value::String(value)]) => {
                    write_field(&place, name, value, head)
                }
                _ => Err(format!("{place}: no pair of a name and a value, both strings")),
            }
        }),
        Some(Value::Object(object)) => object.iter().try_for_each(|(name, value)| {
            let place = format!("headers.{name}");
            let value = value.as_str().ok_or_else(|| format!("{place}: no string"))?;
            write_field(&place, name, value, head)
        }),
        Some(_) => Err("headers: no list of pairs and no object".to_owned()),
    }
}

/// The value is in no message: it may be a token.
fn write_field(place: &str, name: &str, value: &str, head: &mut Vec<u8>) -> Result<(), String> {
    let line_end = |byte: u8| matches!(byte, b'\r' | b'\n');
    if name.is_empty() || name.bytes().any(|byte| line_end(byte) || byte == b':') {
        return Err(format!("{place}: the name is empty, or has a colon or line end"));
    }
    if value.bytes().any(line_end) {
        return Err(format!("{place}: the value has a line end"));
    }
    head.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_becomes_a_head() {
        let list = br#"{"listener":"a","method":"POST","target":"/x?y","now":5,
            "headers":[["host","h"],["A","1"],["a","2"]]}"#;
        let described = DescribedRequest::parse(list).unwrap();
        assert_eq!(described.head, b"POST /x?y HTTP/1.1\r\nhost: h\r\nA: 1\r\na: 2\r\n\r\n");
        assert_eq!((described.listener.as_deref(), described.now), (Some("a"), Some(UnixTime(5))));
        let object = br#"{"target":"/","headers":{"host":"h"}}"#;
        let described = DescribedRequest::parse(object).unwrap();
        assert_eq!(described.head, b"GET / HTTP/1.1\r\nhost: h\r\n\r\n");
        assert_eq!((described.listener, described.now), (None, None));
    }

    #[test]
    fn errors_name_the_member_and_show_no_value() {
        for (body, error) in [
            ("[]", "the body is no JSON object"),
            (
                r#"{"targt":"/"}"#,
                "targt: not known; allowed: listener, method, target, headers, client_certificate, now",
            ),
            ("{}", "target: missing; such as \"/orders/1\""),
            (r#"{"target":1}"#, "target: no string"),
            (
                r#"{"target":"/ HTTP/1.1\r\nx: y"}"#,
                "target: empty, or with a space or control character",
            ),
            (
                r#"{"target":"/","method":""}"#,
                "method: empty, or with a space or control character",
            ),
            (r#"{"target":"/","now":1.5}"#, "now: no whole number of seconds since 1970"),
            (r#"{"target":"/","client_certificate":1}"#, "client_certificate: no object"),
            (
                r#"{"target":"/","client_certificate":{"subject":1}}"#,
                "client_certificate.subject: no string",
            ),
            (
                r#"{"target":"/","client_certificate":{"cn":"a"}}"#,
                "client_certificate.cn: not known; allowed: subject, names, thumbprint",
            ),
            (r#"{"target":"/","headers":1}"#, "headers: no list of pairs and no object"),
            (
                r#"{"target":"/","headers":[["a"]]}"#,
                "headers[0]: no pair of a name and a value, both strings",
            ),
            (r#"{"target":"/","headers":{"a":1}}"#, "headers.a: no string"),
            (
                r#"{"target":"/","headers":[["a","b\nsecret"]]}"#,
                "headers[0]: the value has a line end",
            ),
            (
                r#"{"target":"/","headers":[["a: b","c"]]}"#,
                "headers[0]: the name is empty, or has a colon or line end",
            ),
        ] {
            assert_eq!(DescribedRequest::parse(body.as_bytes()).unwrap_err(), error, "{body}");
        }
        let error = DescribedRequest::parse(b"{").unwrap_err();
        assert!(error.starts_with("the body is not JSON: "), "{error}");
    }
}
