//! Agents in Rust that work with agents in Python: `cargo run --example text_tools`, and
//! `python examples/python/summarizer.py` in a second terminal.

use openagentmesh::{AgentMesh, Context, Error, Result, agent, agents};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Text {
    /// The text.
    text: String,
}

/// The reply of `text.summarize`, an agent in Python.
#[derive(Deserialize)]
struct Summary {
    summary: String,
    words: usize,
}

/// Counts the words of a text.
#[agent(channel = "text")]
async fn count(input: Text) -> Result<usize> {
    match input.text.split_whitespace().count() {
        0 => Err(Error::new("empty_text", "the text has no words")),
        words => Ok(words),
    }
}

/// Reports on a text in one line.
#[agent(channel = "text")]
async fn report(ctx: Context, input: Text) -> Result<String> {
    let Summary { summary, words } = ctx.mesh().call("text.summarize", &input).await?;
    Ok(format!("{words} words about: {summary}"))
}

#[tokio::main]
async fn main() -> Result<()> {
    let mesh = AgentMesh::from_env().await?;
    println!("serving text.count and text.report on {}", mesh.url());
    mesh.serve(agents![count, report]).await
}
