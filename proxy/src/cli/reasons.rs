//! `ringgate reasons`: every code that tells why a request was not served as asked, as `docs/reasons.md`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use crate::worker::{Reason, outline};

const INTRODUCTION: &str = "\
# Reasons

Why a request was not served as asked. The code is `reason` in the access log and in what `/explain`
answers, and a label of `ringgate_refusals_total`, beside `fault`; where a listener has `reason_header`
it is `X-Ringgate-Reason` in the answer, too. Codes do not change their meaning.

`status` is what the client is answered. There is no answer once a response has begun, which is then
cut, and none to a client that has left; where that is always so, `status` is none. A gRPC call is
answered in its own words; `on_no_keys` and a token in `Proxy-Authorization` change the status of some
of `auth`.

This file is written by `cargo xtask reasons` from the code.
";

/// Print every reason code with its status, whose fault it is and what it means, in Markdown.
#[derive(Debug, clap::Args)]
pub struct Reasons {}

impl Reasons {
    /// Prints the table; fails only where standard output does.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match std::io::stdout().write_all(text().as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        }
    }
}

/// The whole document: a table for each kind of reason.
fn text() -> String {
    let mut text = INTRODUCTION.to_owned();
    let mut last = "";
    for reason in Reason::all() {
        let heading = heading(reason);
        if heading != last {
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "\n## {heading}\n\n| code | status | fault | means |\n|---|---|---|---|\n"
            );
            last = heading;
        }
        let status = match reason.is_answered() {
            true => outline(reason, None, &[]).status.to_string(),
            false => "none".to_owned(),
        };
        let (code, fault, meaning) =
            (reason.code(), reason.fault().label(), sentence(reason.meaning()));
        let _ = writeln!(text, "| `{code}` | {status} | {fault} | {meaning} |");
    }
    text
}

fn heading(reason: Reason) -> &'static str {
    match reason {
        Reason::Request(_) => "The head of a request",
        Reason::RequestChunks(_) => "The chunks of a request",
        Reason::Token(_) => "The token",
        Reason::Response(_) => "The head of a response",
        Reason::ResponseChunks(_) => "The chunks of a response",
        Reason::Gate(_) => "The way of a request",
    }
}

/// With a capital and a full stop.
fn sentence(meaning: &str) -> String {
    let (first, rest) = meaning.split_at(1);
    format!("{}{}.", first.to_ascii_uppercase(), rest.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_row_of_four_cells() {
        let text = text();
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(rows.len(), Reason::all().count());
        for row in &rows {
            assert_eq!(row.matches('|').count(), 5, "{row}");
        }
        let twice =
            "`framing.te_and_cl` | 400 | client | Both Transfer-Encoding and Content-Length. |";
        assert!(rows.iter().any(|row| row.ends_with(twice)), "{text}");
        assert!(rows.iter().any(|row| row.starts_with("| `client.left` | none | client |")));
    }
}
