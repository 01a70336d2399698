//! A mesh with sample agents, to look at and to play with.

use std::io::IsTerminal;

use openagentmesh::{AgentMesh, agent, agents};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::printer::Printer;

/// Echoes a message back.
#[agent]
async fn echo(message: String) -> String {
    format!("Echo: {message}")
}

#[derive(Deserialize, JsonSchema)]
struct Text {
    /// The text to count in.
    #[schemars(length(min = 1))]
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Counts {
    words: usize,
    letters: usize,
}

/// Counts the words and letters of a text.
#[agent(channel = "text", tags = ["text"], version = "1.0.0")]
async fn count(input: Text) -> Counts {
    Counts {
        words: input.text.split_whitespace().count(),
        letters: input.text.chars().filter(|c| c.is_alphabetic()).count(),
    }
}

/// Rolls a die.
#[agent(channel = "dice", tags = ["games"])]
async fn roll() -> u8 {
    rand::random_range(1..=6)
}

pub(crate) async fn run(printer: &Printer) -> Result<(), Failure> {
    tokio::select! {
        mesh = show(printer) => serve(mesh?, printer).await,
        signal = openagentmesh::shutdown_signal() => Ok(signal?),
    }
}

/// Starts the mesh and does with it what a newcomer would do next.
async fn show(printer: &Printer) -> Result<AgentMesh, Failure> {
    let mesh = AgentMesh::local().await?;
    printer.line(format!("A mesh is up at {}", mesh.url()));

    mesh.register(agents![echo, count, roll]).await?;
    printer.line("Registered three agents; each is one Rust function:");
    for entry in mesh.catalog().await? {
        printer.line(format!("  {:<12}{}", entry.name, entry.description));
    }

    // A connection of its own: as far as the mesh can tell, another process.
    let caller = AgentMesh::connect(mesh.url()).await?;
    printer.line("Called them from a second connection:");
    let reply: serde_json::Value = caller.call("echo", "hello").await?;
    printer.line(format!("  echo \"hello\" -> {reply}"));
    let input = serde_json::json!({"text": "agents are plain functions"});
    let reply: serde_json::Value = caller.call("text.count", &input).await?;
    printer.line(format!("  text.count {input} -> {reply}"));
    let reply: serde_json::Value = caller.call("dice.roll", ()).await?;
    printer.line(format!("  dice.roll -> {reply}"));

    let Err(refused) = caller
        .call::<serde_json::Value>("text.count", serde_json::json!({}))
        .await
    else {
        return Err(Failure::here("text.count took an input without a text"));
    };
    printer.line(format!(
        "  text.count {{}} -> {}: {}",
        refused.code(),
        refused.message()
    ));
    caller.shutdown().await?;
    Ok(mesh)
}

/// Stays up for a person; there is nobody to stay up for behind a pipe.
async fn serve(mesh: AgentMesh, printer: &Printer) -> Result<(), Failure> {
    if !std::io::stdout().is_terminal() {
        mesh.shutdown().await?;
        return Ok(());
    }
    let oam = std::env::args().next().unwrap_or_else(|| "oam".to_owned());
    let url = mesh.url();
    printer.line("");
    printer.title("Try these in a second terminal:");
    printer.command(
        &format!("{oam} mesh catalog --url {url}"),
        "lists the agents",
    );
    printer.command(
        &format!("{oam} agent contract text.count --url {url}"),
        "shows its schemas",
    );
    printer.command(
        &format!("{oam} agent call echo '\"hi\"' --url {url}"),
        "calls it",
    );
    printer.line("");
    printer.line("Ctrl-C stops the mesh.");
    mesh.run().await?;
    Ok(())
}
