//! What tests with other people's programs have in common.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::upstream::{Upstream, ok};

/// An upstream that answers with what it was asked.
pub fn mirror() -> Upstream {
    Upstream::with(|request| {
        let what = format!("{} {} ", request.method(), request.target());
        let response = ok([what.as_bytes(), &request.body].concat());
        let head_only = request.method() == "HEAD";
        let end = memchr::memmem::find(&response, b"\r\n\r\n").unwrap() + 4;
        response[..if head_only { end } else { response.len() }].to_vec()
    })
}

/// What a program printed; it must have succeeded.
#[track_caller]
pub fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}{errors}");
    text
}

/// A client of ours in another language.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/clients").join(name)
}
