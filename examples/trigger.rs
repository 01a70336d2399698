//! A trigger answers without being asked anything in particular: `cargo run --example trigger`, and
//! type in a second terminal what it prints. Start it in two terminals and ask several times: the
//! two share the requests, as the process ids show.

use std::sync::LazyLock;
use std::time::Instant;

use openagentmesh::{AgentMesh, agent, agents};
use schemars::JsonSchema;
use serde::Serialize;

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// How a process is doing.
#[derive(Serialize, JsonSchema)]
struct Status {
    process: u32,
    seconds_up: u64,
}

/// Tells how long its process has been up.
#[agent(channel = "ops")]
async fn status() -> Status {
    Status {
        process: std::process::id(),
        seconds_up: STARTED.elapsed().as_secs(),
    }
}

#[tokio::main]
async fn main() -> openagentmesh::Result<()> {
    LazyLock::force(&STARTED);
    let mesh = AgentMesh::from_env().await?;
    mesh.register(agents![status]).await?;
    println!("serving ops.status on {}; try:", mesh.url());
    println!("  oam agent call ops.status");
    mesh.run().await
}
