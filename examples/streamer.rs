//! A streamer answers each request with a stream: `cargo run --example streamer`, and type in a
//! second terminal what it prints. End that command early with Ctrl-C: the countdown stops too,
//! because nobody waits for it any more.

use std::time::Duration;

use async_stream::stream;
use futures::Stream;
use openagentmesh::{AgentMesh, agent, agents};
use tokio::time::sleep;

/// Counts the seconds down to lift-off.
#[agent]
fn countdown(seconds: u32) -> impl Stream<Item = String> {
    stream! {
        for left in (1..=seconds).rev() {
            yield format!("{left} …");
            sleep(Duration::from_secs(1)).await;
        }
        yield "lift-off!".to_owned();
    }
}

#[tokio::main]
async fn main() -> openagentmesh::Result<()> {
    let mesh = AgentMesh::from_env().await?;
    mesh.register(agents![countdown]).await?;
    println!("serving countdown on {}; try:", mesh.url());
    println!("  oam agent stream countdown 3");
    mesh.run().await
}
