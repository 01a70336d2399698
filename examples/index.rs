//! Retrieval with parallel indexing: `cargo run --example index -- "a question"`, after one or more
//! processes of the example `embedder`. The embedders share the documents; the index is stored on the
//! mesh, so that each process can query it.

use futures::stream::{self, StreamExt, TryStreamExt};
use openagentmesh::{AgentMesh, Json, KvEntry, Result, Retry};
use serde::{Deserialize, Serialize};

const DOCUMENTS: [&str; 6] = [
    "A refund is paid within five days after the parcel has come back.",
    "Parcels to Norway need a customs form with the value of the goods.",
    "The warranty of a machine ends two years after the purchase.",
    "Invoices are sent by email at the end of the month.",
    "A lost password is replaced by the link on the login page.",
    "The warehouse in Malmö is closed on Sundays and in July.",
];

/// The number of documents that are under way at the same time.
const MAX_IN_FLIGHT: usize = 32;

#[derive(Serialize, Deserialize)]
struct Indexed {
    text: String,
    vector: Vec<f32>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let question = std::env::args().nth(1);
    let question = question.unwrap_or("When is my refund for the parcel paid?".to_owned());
    let mesh = AgentMesh::from_env().await?;
    mesh.wait_for("text.embed").await?;

    stream::iter(DOCUMENTS.into_iter().enumerate())
        .map(|(number, text)| index(&mesh, number, text))
        .buffer_unordered(MAX_IN_FLIGHT)
        .try_collect::<()>()
        .await?;

    let asked = embed(&mesh, &question).await?;
    let stored = mesh.kv().list("index.*").await?;
    let stored: Vec<Indexed> = stored.iter().map(KvEntry::json).collect::<Result<_>>()?;
    println!("{} documents are indexed", stored.len());
    let mut ranked: Vec<(f32, &Indexed)> = stored
        .iter()
        .map(|document| (similarity(&asked, &document.vector), document))
        .collect();
    ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    ranked.retain(|(similarity, _)| *similarity > 0.1);
    for (similarity, document) in ranked.iter().take(2) {
        println!("{similarity:.2} {}", document.text);
    }
    mesh.shutdown().await
}

/// Stores a document with its vector.
async fn index(mesh: &AgentMesh, number: usize, text: &str) -> Result<()> {
    let vector = embed(mesh, text).await?;
    let text = text.to_owned();
    let key = format!("index.{number}");
    mesh.kv().put(key, Json(Indexed { text, vector })).await?;
    Ok(())
}

async fn embed(mesh: &AgentMesh, text: &str) -> Result<Vec<f32>> {
    mesh.call("text.embed", text)
        .retry(Retry::attempts(5))
        .await
}

fn similarity(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
