//! That a contender does what its scenario measures, tried before it is measured.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::certificate::Certificate;
use super::load::own::Run;
use super::placement::Placement;
use super::scenario::{Entrance, How, Load, Scenario};
use super::tokens;

/// The answers are the upstream's; good tokens pass and bad ones do not; TLS is as it is said.
/// Echoes, and whether handshakes are full, the load itself looks at all the time.
pub(super) fn contender(
    scenario: Scenario,
    address: SocketAddr,
    tokens: Option<&tokens::Set>,
    certificate: &Certificate,
    placement: &Placement,
) -> Result<()> {
    let shape = scenario.shape();
    let (path, body) = match shape.load {
        Load::Wrk { path, .. } => (path, 0),
        Load::Own { path, how: How::Upload { bytes }, .. } => (path, bytes),
        Load::Own { path, .. } => (path, 0),
        Load::Echo { .. } | Load::Idle => ("/", 0),
    };
    let ask = |token: Option<&str>| {
        let mut arguments = vec!["probe".to_owned(), "--path".into(), path.into()];
        arguments.extend(["--body".to_owned(), body.to_string()]);
        if let Some(token) = token {
            arguments.extend(["--field".to_owned(), format!("Authorization: Bearer {token}")]);
        }
        let trusted = (shape.entrance == Entrance::Https).then_some(certificate.chain.as_path());
        Run::start(&arguments, address, trusted, placement)?.result()
    };
    let answer = ask(tokens.map(|tokens| tokens.good.as_str()))?;
    expect_served(&answer, path)?;
    if shape.entrance == Entrance::Https {
        expect_tls(&answer)?;
    }
    let Some(tokens) = tokens else { return Ok(()) };
    expect_refused(&ask(None)?, &[401]).context("no token")?;
    for (what, token) in &tokens.bad {
        // Envoy has 403 for a good token that is for somebody else.
        let statuses: &[u64] = if *what == "another audience" { &[401, 403] } else { &[401] };
        expect_refused(&ask(Some(token))?, statuses).context(*what)?;
    }
    Ok(())
}

fn expect_served(answer: &Value, path: &str) -> Result<()> {
    let expected = match path {
        "/" => 128,
        "/1m" => 1024 * 1024,
        sized => sized.trim_start_matches("/bytes/").parse().context("a size in the path")?,
    };
    let is_good = answer["status"] == 200 && answer["is_filler"] == true;
    if !is_good || answer["body_bytes"].as_u64() != Some(expected) {
        bail!("expected 200 with {expected} bytes of the upstream's, found {answer}");
    }
    Ok(())
}

/// All with the same version, suite and group, and sessions that can be resumed.
fn expect_tls(answer: &Value) -> Result<()> {
    let tls = &answer["tls"];
    let is_equal = tls["version"] == "TLSv1_3"
        && tls["suite"] == "TLS13_AES_128_GCM_SHA256"
        && tls["group"] == "X25519";
    if !is_equal || tls["second_is_resumed"] != true {
        bail!("not the TLS that all have: {tls}");
    }
    Ok(())
}

fn expect_refused(answer: &Value, statuses: &[u64]) -> Result<()> {
    match answer["status"].as_u64() {
        Some(status) if statuses.contains(&status) => Ok(()),
        _ => bail!("expected {statuses:?}, found {answer}"),
    }
}
