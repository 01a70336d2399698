//! A streamer answers each request with a stream: `cargo run --example streamer`, and run the
//! printed command in a second terminal. End that command early with Ctrl-C: the caller
//! disconnects, so the countdown is cancelled too.

use std::time::Duration;

use async_stream::stream;
use futures::Stream;
use openagentmesh::{AgentMesh, agent, agents};
use tokio::time::sleep;

/// Counts the seconds down to lift-off.
#[agent]
fn countdown(seconds: u32) -> impl Stream<Item = String> {
    stream! {
        for seconds_left in (1..=seconds).rev() {
            yield format!("{seconds_left} …");
            sleep(Duration::from_secs(1)).await;
        }
        yield "lift-off!".to_owned();
    }
}

#[tokio::main]
async fn main() -> openagentmesh::Result<()> {
    let mesh = AgentMesh::from_env().await?;
    println!("serving countdown on {}; try:", mesh.url());
    println!("  oam agent stream countdown 3");
    mesh.serve(agents![countdown]).await
}
