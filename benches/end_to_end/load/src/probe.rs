//! One request, and what can be told of the answer and of the handshake before it.

use anyhow::{Context, Result};
use serde_json::json;

use crate::dial::Dialer;
use crate::message::{self, Body, Connection};
use crate::steps;

/// What to ask.
#[derive(clap::Args)]
pub(crate) struct Plan {
    #[arg(long, default_value = "/")]
    path: String,
    /// A field of the request, as `Name: value`
    #[arg(long)]
    field: Option<String>,
    /// Bytes of the request's body
    #[arg(long, default_value_t = 0)]
    body: usize,
}

/// Asks on two connections, the second of which may resume the session of the first.
pub(crate) async fn run(dialer: &Dialer, plan: &Plan) -> Result<()> {
    steps::give_up_after(0);
    let fields = plan.field.as_ref().map(|field| format!("{field}\r\n")).unwrap_or_default();
    let request = message::request(&plan.path, &fields, plan.body);
    let dialer = dialer.resuming();
    let mut last = None;
    for _ in 0..2 {
        let (io, agreed) = dialer.dial().await?;
        let mut connection = Connection::new(io);
        connection.send(&request).await?;
        last = Some((connection.receive(Body::Compare).await?, agreed));
    }
    let (response, agreed) = last.context("two answers")?;
    let mut result = json!({
        "status": response.status,
        "body_bytes": response.body_bytes,
        "is_filler": response.is_filler,
    });
    if let Some(agreed) = agreed {
        result["tls"] = json!({
            "version": agreed.version,
            "suite": agreed.suite,
            "group": agreed.group,
            "second_is_resumed": agreed.is_resumed,
        });
    }
    steps::finish(&result)
}
