//! The process that serves what the others measure.

use openagentmesh::AgentMesh;
use tokio::sync::mpsc;

use super::{READY, ours, raw, say};
use crate::Result;

pub(super) async fn run(url: &str, mut input: mpsc::Receiver<String>) -> Result<()> {
    let mesh = AgentMesh::connect(url).await?;
    mesh.register(ours::agents()).await?;
    let raw = raw::serve(url).await?;
    say(&READY)?;
    tokio::select! {
        _ = input.recv() => Ok(()),
        ended = raw => ended,
    }
}
