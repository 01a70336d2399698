//! An agent that transforms the stream of another agent: `cargo run --example relay`, and run the
//! printed commands in a second terminal. The relay requests lines only as fast as its own caller
//! reads them. When that caller disconnects, both streams are cancelled.

use std::time::Duration;

use async_stream::{stream, try_stream};
use futures::Stream;
use openagentmesh::{AgentMesh, Context, Result, agent, agents};
use tokio::time::interval;

/// Streams the log of a service.
#[agent(channel = "logs")]
fn tail(service: String) -> impl Stream<Item = String> {
    stream! {
        let mut ticks = interval(Duration::from_millis(100));
        for number in 1.. {
            ticks.tick().await;
            yield format!("{service}: order {number} paid, token=s3cr3t-{number}");
        }
    }
}

/// Streams the log of a service without secrets.
#[agent(channel = "logs")]
fn redacted(ctx: Context, service: String) -> impl Stream<Item = Result<String>> {
    try_stream! {
        let mut lines = ctx.mesh().stream::<String>("logs.tail", service).await?;
        while let Some(line) = lines.next().await {
            yield without_secrets(&line?);
        }
    }
}

fn without_secrets(line: &str) -> String {
    line.split(' ')
        .map(|word| match word.split_once('=') {
            Some(("token", _)) => "token=•••",
            _ => word,
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[tokio::main]
async fn main() -> Result<()> {
    let mesh = AgentMesh::from_env().await?;
    println!(
        "serving logs.tail and logs.redacted on {}; try:",
        mesh.url()
    );
    println!("  oam agent stream logs.tail '\"shop\"'");
    println!("  oam agent stream logs.redacted '\"shop\"'");
    mesh.serve(agents![tail, redacted]).await
}
