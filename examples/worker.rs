//! One of several processes that share the requests of an agent: `cargo run --example worker`, in as
//! many terminals as there shall be workers, and `cargo run --example album` in another one.

use std::process;
use std::time::Duration;

use openagentmesh::{AgentMesh, agent, agents};
use schemars::JsonSchema;
use serde::Serialize;

#[derive(Serialize, JsonSchema)]
struct Thumbnail {
    photo: u32,
    /// The process that made the thumbnail.
    worker: u32,
}

/// Makes the thumbnail of a photo, which takes 50 ms.
#[agent(channel = "photos", concurrency = 4, queue = 100, idempotent)]
async fn thumbnail(photo: u32) -> Thumbnail {
    tokio::time::sleep(Duration::from_millis(50)).await;
    let worker = process::id();
    Thumbnail { photo, worker }
}

#[tokio::main]
async fn main() -> openagentmesh::Result<()> {
    let mesh = AgentMesh::from_env().await?;
    println!("serving photos.thumbnail on {}", mesh.url());
    mesh.serve(agents![thumbnail]).await
}
