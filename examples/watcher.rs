//! A watcher answers no requests: it runs as long as it is served, and is restarted after a
//! failure. `cargo run --example watcher`, run the printed commands in a second terminal, and look
//! at the first: the watcher prints every error of every agent on the mesh.

use openagentmesh::protocol::ErrorObject;
use openagentmesh::{AgentMesh, Context, Error, Result, agent, agents};

/// Reports every error on this mesh.
#[agent(channel = "ops")]
async fn pager(ctx: Context) -> Result<()> {
    // Every host publishes a copy of its error replies here.
    let mut errors = ctx
        .mesh()
        .subscribe_subject::<ErrorObject>("mesh.errors.>")
        .await?;
    while let Some(error) = errors.next().await {
        let error = error?.data;
        println!("{}: {} ({})", error.agent, error.message, error.code);
    }
    Ok(())
}

/// Charges a card up to its limit.
#[agent(channel = "till")]
async fn charge(cents: u32) -> Result<String> {
    match cents {
        0..=5_000 => Ok("paid".to_owned()),
        _ => Err(Error::new("declined", "the card's limit is 50.00")),
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mesh = AgentMesh::from_env().await?;
    println!("serving ops.pager and till.charge on {}; try:", mesh.url());
    println!("  oam agent call till.charge 1200");
    println!("  oam agent call till.charge 9900");
    println!("  oam agent call till.charge '\"a lot\"'");
    mesh.serve(agents![pager, charge]).await
}
