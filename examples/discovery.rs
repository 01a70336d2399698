//! Finding agents at runtime: `cargo run --example discovery`. The example lists the catalog with
//! filters, reads a contract, validates an input, and watches for changes.

use futures::{Stream, stream};
use openagentmesh::{AgentMesh, CatalogChange, Result, agent, agents};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize, JsonSchema)]
struct Text {
    #[schemars(length(min = 1))]
    text: String,
}

/// Reverses a text.
#[agent(channel = "text", tags = ["fun"])]
async fn reverse(input: Text) -> String {
    input.text.chars().rev().collect()
}

/// Streams the letters of a text.
#[agent(channel = "text")]
fn letters(input: Text) -> impl Stream<Item = String> {
    stream::iter(input.text.chars().map(String::from).collect::<Vec<_>>())
}

#[tokio::main]
async fn main() -> Result<()> {
    let mesh = AgentMesh::from_env().await?;
    mesh.register(agents![reverse, letters]).await?;

    // An agent must match all filters.
    for entry in mesh.catalog().channel("text").await? {
        println!("{}", entry.to_compact());
    }
    for entry in mesh.catalog().channel("text").streaming(true).await? {
        println!("{} streams", entry.name);
    }

    // A contract has the schemas and validates an input before it is sent.
    mesh.wait_for("text.reverse").await?;
    let contract = mesh.contract("text.reverse").await?;
    if let Err(error) = contract.validate(json!({"text": ""})) {
        println!(
            "{}: {}",
            error.code(),
            error.details()["errors"][0]["location"]
        );
    }
    let tools = mesh.discover().channel("text").invocable(true).await?;
    println!("{} agents can be tools", tools.len());

    // A watch begins with the current agents; changes follow.
    let mut changes = mesh.catalog().tag("fun").watch();
    mesh.deregister(["text.reverse"]).await?;
    while let Some(change) = changes.next().await {
        match change {
            CatalogChange::Removed(entry) => {
                println!("{} is removed", entry.name);
                break;
            }
            other => println!("{} is listed", other.entry().name),
        }
    }
    mesh.shutdown().await
}
