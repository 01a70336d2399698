//! The process that serves the measured agents.

use openagentmesh::AgentMesh;
use tokio::sync::mpsc;

use super::role::READY;
use super::stdio::answer;
use super::{ours, raw};
use crate::error::Result;

pub(super) async fn run(url: &str, mut input: mpsc::Receiver<String>) -> Result<()> {
    let mesh = AgentMesh::connect(url).await?;
    mesh.register(ours::agents()).await?;
    let raw = raw::serve(url).await?;
    answer(&READY)?;
    tokio::select! {
        _ = input.recv() => Ok(()),
        ended = raw => ended,
    }
}
