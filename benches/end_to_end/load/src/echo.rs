//! Messages of WebSockets that the upstream sends back, one at a time on each connection.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::task::JoinSet;

use crate::dial::Dialer;
use crate::figures::Figures;
use crate::message::{self, Body, Connection};
use crate::steps;

/// The key is the example of RFC 6455, section 1.3.
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
/// The most that a frame's shortest head can tell.
const PAYLOAD_MAX: u8 = 125;

/// How many, and for how long.
#[derive(clap::Args)]
pub(crate) struct Plan {
    #[arg(long)]
    connections: u32,
    #[arg(long)]
    seconds: u32,
    /// Bytes of a message
    #[arg(long, value_parser = clap::value_parser!(u8).range(..=i64::from(PAYLOAD_MAX)))]
    bytes: u8,
}

pub(crate) async fn run(dialer: &Dialer, plan: &Plan) -> Result<()> {
    steps::give_up_after(plan.seconds);
    let mut connections = Vec::new();
    for _ in 0..plan.connections {
        let mut connection = Connection::new(dialer.dial().await?.0);
        connection.send(&message::request("/echo", UPGRADE, 0)).await?;
        let status = connection.receive(Body::Count).await?.status;
        if status != 101 {
            bail!("expected 101, found {status}");
        }
        connections.push(connection);
    }
    steps::say_and_wait("READY")?;
    let began = Instant::now();
    let end = began + Duration::from_secs(plan.seconds.into());
    let mut running = JoinSet::new();
    for connection in connections {
        running.spawn(echo(connection, frame(plan.bytes), end));
    }
    let (mut figures, mut done) = (Figures::default(), Vec::new());
    while let Some(ended) = running.join_next().await {
        let (connection, its_figures) = ended??;
        done.push(connection);
        figures.merge(its_figures);
    }
    steps::finish(&figures.json(began.elapsed()))
}

/// A binary message with a mask of zeros, which leaves its bytes as they are.
fn frame(payload: u8) -> Vec<u8> {
    let mut frame = vec![0x82, 0x80 | payload, 0, 0, 0, 0];
    frame.extend(0..payload);
    frame
}

async fn echo(
    mut connection: Connection,
    frame: Vec<u8>,
    end: Instant,
) -> Result<(Connection, Figures)> {
    let mut figures = Figures::default();
    let mut back = vec![0; frame.len()];
    loop {
        let began = Instant::now();
        if began >= end {
            return Ok((connection, figures));
        }
        connection.send(&frame).await?;
        connection.read_exact(&mut back).await?;
        if back != frame {
            bail!("a message came back changed");
        }
        figures.add(began.elapsed(), back.len() as u64);
    }
}
