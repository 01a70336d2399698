//! Finding agents at runtime: `cargo run --example discovery`. What there is, by filters; what comes
//! and goes; what one takes and gives, and whether an input fits.

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

/// Turns a text around.
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

    // Filters add up.
    for entry in mesh.catalog().channel("text").await? {
        println!("{}", entry.to_compact());
    }
    for entry in mesh.catalog().channel("text").streaming(true).await? {
        println!("{} streams", entry.name);
    }

    // A contract has the schemas, and tells whether an input fits before it is sent.
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

    // First what there is, then what happens.
    let mut changes = mesh.catalog().tag("fun").watch();
    mesh.deregister(["text.reverse"]).await?;
    while let Some(change) = changes.next().await {
        match change {
            CatalogChange::Removed(entry) => {
                println!("{} has left", entry.name);
                break;
            }
            other => println!("{} is here", other.entry().name),
        }
    }
    mesh.shutdown().await
}
