//! An agent that streams from another agent, and passes on what it made of it:
//! `cargo run --example relay`, and type in a second terminal what it prints. The relay asks for
//! lines only as fast as its own caller takes them, and when that one goes, both streams end.

use std::time::Duration;

use async_stream::{stream, try_stream};
use futures::Stream;
use openagentmesh::{AgentMesh, Context, Result, agent, agents};
use tokio::time::interval;

/// Streams what a service writes to its log.
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

/// Streams the same without what nobody should read.
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
    mesh.register(agents![tail, redacted]).await?;
    println!(
        "serving logs.tail and logs.redacted on {}; try:",
        mesh.url()
    );
    println!("  oam agent stream logs.tail '\"shop\"'");
    println!("  oam agent stream logs.redacted '\"shop\"'");
    mesh.run().await
}
