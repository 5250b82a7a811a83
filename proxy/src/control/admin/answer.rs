//! What the administration listener answers, and how it is written.

use std::fmt::Write as _;

use super::request::Method;
use crate::http1::reason_phrase;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) body: String,
    /// With 405: what is allowed.
    allow: Vec<Method>,
}

impl Answer {
    pub(super) fn new(status: u16, content_type: &'static str, body: String) -> Self {
        Self { status, content_type, body, allow: Vec::new() }
    }

    pub(super) fn text(status: u16, body: impl Into<String>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body.into())
    }

    pub(super) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, "application/json", format!("{body:#}\n"))
    }

    pub(super) fn not_allowed(allow: Vec<Method>) -> Self {
        let mut answer = Self::text(405, "");
        answer.allow = allow;
        answer.body = format!("{} is allowed here\n", answer.allowed());
        answer
    }

    /// Its bytes; of a HEAD request's answer the head only.
    pub(super) fn bytes(&self, head_only: bool) -> String {
        let Self { status, content_type, body, .. } = self;
        let reason = reason_phrase(*status);
        let length = body.len();
        let mut text = format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n"
        );
        if !self.allow.is_empty() {
            // Writing to a String does not fail.
            let _ = write!(text, "Allow: {}\r\n", self.allowed());
        }
        text.push_str("\r\n");
        if !head_only {
            text.push_str(body);
        }
        text
    }

    fn allowed(&self) -> String {
        self.allow.iter().map(|method| method.name()).collect::<Vec<_>>().join(", ")
    }
}
