//! An agent that turns texts into vectors: `cargo run --example embedder`, in one or more terminals, and
//! `cargo run --example index` in another one. The vector of this example is a hash of the words; a model
//! takes its place.

use openagentmesh::{AgentMesh, agent, agents};

const DIMENSIONS: usize = 256;

/// Returns the embedding of a text: a vector of length 1.
#[agent(channel = "text", concurrency = 8, queue = 1000, idempotent)]
async fn embed(text: String) -> Vec<f32> {
    let mut vector = [0.0_f32; DIMENSIONS];
    for word in text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.len() > 3)
    {
        vector[hash(&word.to_lowercase()) % DIMENSIONS] += 1.0;
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(1.0);
    vector.map(|x| x / length).to_vec()
}

/// FNV-1a, which is the same in each process.
fn hash(word: &str) -> usize {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    word.bytes().fold(0x811c_9dc5, step) as usize
}

#[tokio::main]
async fn main() -> openagentmesh::Result<()> {
    let mesh = AgentMesh::from_env().await?;
    println!("serving text.embed on {}", mesh.url());
    mesh.serve(agents![embed]).await
}
