//! A watcher is asked nothing and answers nothing: it runs while it is served, and again after a
//! failure. `cargo run --example watcher`, type in a second terminal what it prints, and look at
//! the first: every failure of every agent on the mesh shows up there.

use openagentmesh::protocol::ErrorObject;
use openagentmesh::{AgentMesh, Context, Error, Result, agent, agents};

/// Reports whatever fails on this mesh.
#[agent(channel = "ops")]
async fn pager(ctx: Context) -> Result<()> {
    // A copy of every error that an agent answers is published here.
    let mut failures = ctx
        .mesh()
        .subscribe_subject::<ErrorObject>("mesh.errors.>")
        .await?;
    while let Some(failure) = failures.next().await {
        let failure = failure?.data;
        println!("{}: {} ({})", failure.agent, failure.message, failure.code);
    }
    Ok(())
}

/// Charges a card, if it can bear it.
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
    mesh.register(agents![pager, charge]).await?;
    println!("serving ops.pager and till.charge on {}; try:", mesh.url());
    println!("  oam agent call till.charge 1200");
    println!("  oam agent call till.charge 9900");
    println!("  oam agent call till.charge '\"a lot\"'");
    mesh.run().await
}
