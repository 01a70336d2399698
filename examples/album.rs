//! Many requests at one agent, shared by the processes that serve it: `cargo run --example album`, after
//! one or more processes of the example `worker`. Workers may come and go while the example runs.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use openagentmesh::{AgentMesh, Result, Retry};
use serde::Deserialize;

const PHOTOS: u32 = 400;

/// The number of requests that are under way at the same time.
const MAX_IN_FLIGHT: usize = 16;

#[derive(Deserialize)]
struct Thumbnail {
    worker: u32,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mesh = AgentMesh::from_env().await?;
    mesh.wait_for("photos.thumbnail").await?;
    println!("{PHOTOS} photos");

    let thumbnails: Vec<Thumbnail> = stream::iter(0..PHOTOS)
        .map(|photo| {
            mesh.call("photos.thumbnail", photo)
                .timeout(Duration::from_secs(30))
                .retry(Retry::attempts(5))
        })
        .buffer_unordered(MAX_IN_FLIGHT)
        .try_collect()
        .await?;

    let mut made = BTreeMap::<u32, usize>::new();
    for thumbnail in &thumbnails {
        *made.entry(thumbnail.worker).or_default() += 1;
    }
    for (worker, count) in &made {
        println!("process {worker} made {count}");
    }
    println!("{} thumbnails by {} workers", thumbnails.len(), made.len());
    mesh.shutdown().await
}
