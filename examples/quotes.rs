//! A process without agents: `cargo run --example quotes`, next to a process that runs the example
//! `responder`. The client may be started first: it waits for the agent.

use openagentmesh::{AgentMesh, Result};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<()> {
    let mesh = AgentMesh::from_env().await?;
    println!("waiting for shipping.quote on {}", mesh.url());
    let agent = mesh.wait_for("shipping.quote").await?;
    println!("found {}", agent.to_compact());

    for country in ["SE", "FI", "FR"] {
        let parcel = json!({"country": country, "grams": 1200});
        match mesh.call::<Value>("shipping.quote", parcel).await {
            Ok(quote) => println!(
                "{country}: {} cents, {} days",
                quote["cents"], quote["days"]
            ),
            Err(error) if error.is("no_service") => println!("{country}: {error}"),
            Err(error) => return Err(error),
        }
    }
    mesh.shutdown().await
}
