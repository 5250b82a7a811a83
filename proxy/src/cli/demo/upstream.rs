//! The demo's upstream: it answers with the request that it saw, as JSON.

use std::io;
use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use super::http::{self, Answer, Request};

/// Serves on loopback; returns the address.
pub(super) fn serve(port: u16) -> io::Result<SocketAddr> {
    let listener = http::bind(port)?;
    let address = listener.local_addr()?;
    http::serve(listener, answer)?;
    Ok(address)
}

fn answer(request: &Request) -> Answer {
    let mut headers: Map<String, Value> = Map::new();
    for (name, value) in &request.fields {
        // A repeated field is shown as the list that it means (RFC 9110 section 5.3).
        let joined = match headers.get(name).and_then(Value::as_str) {
            Some(before) => format!("{before}, {value}"),
            None => value.clone(),
        };
        headers.insert(name.clone(), joined.into());
    }
    let seen = json!({
        "seen_by": "the demo upstream",
        "method": request.method,
        "target": request.target,
        "headers": headers,
    });
    Answer { status: 200, content_type: "application/json", body: format!("{seen:#}\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_fields_become_one_list() {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let request = Request {
            method: "GET".into(),
            target: "/x".into(),
            fields: vec![field("a", "1"), field("b", "2"), field("a", "3")],
        };
        let seen: Value = serde_json::from_str(&answer(&request).body).unwrap();
        assert_eq!(seen["headers"], json!({ "a": "1, 3", "b": "2" }));
        assert_eq!(seen["target"], "/x");
    }
}
