//! The process that serves one agent as soon as it can: nothing else, so that its start can be timed.

use futures::StreamExt;
use openagentmesh::{AgentMesh, AgentSpec};
use tokio::sync::mpsc;

use super::{READY, say};
use crate::Result;

/// Somebody else's every time, because the catalog knows agents by their names.
fn name() -> String {
    format!("start.echo-{}", std::process::id())
}

pub(super) async fn run(url: &str, mut input: mpsc::Receiver<String>) -> Result<()> {
    let mesh = AgentMesh::connect(url).await?;
    let echo = AgentSpec::new(name(), "Gives back.").handler(|body: String| async move { body });
    mesh.register([echo]).await?;
    say(&READY)?;
    input.recv().await;
    Ok(mesh.shutdown().await?)
}

pub(super) async fn run_raw(url: &str, mut input: mpsc::Receiver<String>) -> Result<()> {
    let client = async_nats::connect(url).await?;
    let mut requests = client.subscribe(name()).await?;
    client.flush().await?;
    say(&READY)?;
    let serve = async {
        while let Some(request) = requests.next().await {
            let reply = request.reply.ok_or("a request without a reply subject")?;
            client.publish(reply, request.payload).await?;
        }
        Err("the connection was lost".into())
    };
    tokio::select! {
        _ = input.recv() => Ok(()),
        ended = serve => ended,
    }
}
