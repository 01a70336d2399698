//! A trigger answers requests without input: `cargo run --example trigger`, and run the printed
//! command in a second terminal. Start the example in two terminals and call it several times: the
//! process ids show that requests are balanced between the two.

use std::sync::LazyLock;
use std::time::Instant;

use openagentmesh::{AgentMesh, agent, agents};
use schemars::JsonSchema;
use serde::Serialize;

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The status of a process.
#[derive(Serialize, JsonSchema)]
struct Status {
    process: u32,
    seconds_up: u64,
}

/// Returns the uptime of its process.
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
    println!("serving ops.status on {}; try:", mesh.url());
    println!("  oam agent call ops.status");
    mesh.serve(agents![status]).await
}
