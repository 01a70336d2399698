use openagentmesh::{AgentMesh, Result};

struct Opaque;

async fn call(mesh: AgentMesh) -> Result<()> {
    mesh.call("a", 1).await?;
    Ok(())
}

async fn bound_call(mesh: AgentMesh) -> Result<()> {
    let _reply = mesh.call("a", 1).await?;
    Ok(())
}

async fn opaque(mesh: AgentMesh) -> Result<()> {
    mesh.call::<Opaque>("a", 1).await?;
    Ok(())
}

async fn stream(mesh: AgentMesh) -> Result<()> {
    mesh.stream::<Opaque>("a", 1).await?;
    Ok(())
}

async fn subscribe(mesh: AgentMesh) -> Result<()> {
    let mut events = mesh.subscribe("a").await?;
    events.next().await;
    Ok(())
}

async fn send(mesh: AgentMesh) -> Result<()> {
    mesh.send("a", 1).reply::<Opaque>().await?;
    Ok(())
}

fn main() {}
