//! Connections that have been served once and then stay idle.

use anyhow::{Context, Result};
use serde_json::json;

use crate::dial::{self, Dialer};
use crate::message::{self, Connection};
use crate::steps;

/// How many.
#[derive(clap::Args)]
pub(crate) struct Plan {
    #[arg(long)]
    connections: u32,
}

/// Stops after the first one, too. At the end each has to serve once more: a proxy that had closed
/// some would hold less.
pub(crate) async fn run(dialer: &Dialer, plan: &Plan) -> Result<()> {
    dial::raise_descriptor_limit(plan.connections)?;
    let request = message::request("/", "", 0);
    let mut connections = Vec::new();
    for number in 0..plan.connections {
        let mut connection = Connection::new(dialer.dial().await?.0);
        connection.exchange(&request).await?;
        connections.push(connection);
        if number == 0 {
            steps::say_and_wait("FIRST")?;
        }
    }
    steps::say_and_wait("READY")?;
    for connection in &mut connections {
        connection.exchange(&request).await.context("a connection that was idle")?;
    }
    steps::finish(&json!({ "requests": 2 * plan.connections }))
}
