//! The lines on stdin and stdout by which a run goes in step with whoever watches the other side.

use std::io::{self, BufRead, Write};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// What a run may take beyond its seconds before it is given up.
const MARGIN: Duration = Duration::from_secs(60);

/// Says a word, and waits for a line.
pub(crate) fn say_and_wait(word: &str) -> Result<()> {
    say(word)?;
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line).context("stdin")? == 0 {
        bail!("stdin ended before the run");
    }
    Ok(())
}

/// Prints what a run measured, and waits for the end of stdin.
pub(crate) fn finish(result: &Value) -> Result<()> {
    say(&format!("RESULT {result}"))?;
    let mut line = String::new();
    while io::stdin().lock().read_line(&mut line)? > 0 {}
    Ok(())
}

fn say(line: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    Ok(stdout.flush()?)
}

/// Ends the process where the other side leaves it without an answer for good.
pub(crate) fn give_up_after(seconds: u32) {
    thread::spawn(move || {
        thread::sleep(Duration::from_secs(seconds.into()) + MARGIN);
        eprintln!("bench-load: the run does not come to its end");
        std::process::exit(1);
    });
}
