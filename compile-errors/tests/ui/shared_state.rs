#![allow(unused_variables)]

use openagentmesh::{AgentMesh, Context, agent};
use std::sync::{Arc, Mutex};

struct Db;

/// Takes a shared pointer before its input.
#[agent]
async fn pointer(db: Arc<Db>, x: u32) -> u32 {
    x
}

/// Takes a shared pointer only.
#[agent]
async fn only_pointer(db: Arc<Mutex<Db>>) -> u32 {
    1
}

/// Takes a reference before its input.
#[agent]
async fn reference(db: &Db, x: u32) -> u32 {
    x
}

/// Takes a lock after its context.
#[agent]
async fn lock(ctx: Context, cache: Mutex<Vec<u8>>) -> u32 {
    1
}

/// Takes a pool and a sender.
#[agent]
async fn pool(x: u32, pool: sqlx::PgPool, sender: Sender<u32>) -> u32 {
    x
}

/// Takes the state of a web framework.
#[agent]
async fn extractor(State(db): State<Db>, x: u32) -> u32 {
    x
}

/// Takes the mesh.
#[agent]
async fn mesh(mesh: AgentMesh, x: u32) -> u32 {
    x
}

fn main() {}
