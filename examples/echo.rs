//! An agent in about ten lines: `cargo run --example echo`, and call it from a second terminal.

use openagentmesh::{AgentMesh, agent, agents};

/// Echoes a message back.
#[agent]
async fn echo(message: String) -> String {
    format!("Echo: {message}")
}

#[tokio::main]
async fn main() -> openagentmesh::Result<()> {
    let mesh = AgentMesh::from_env().await?;
    mesh.register(agents![echo]).await?;
    println!("serving echo on {}; Ctrl-C stops it", mesh.url());
    mesh.run().await
}
