use openagentmesh::{AgentMesh, agent, agents};

/// Echoes a message back.
#[agent]
async fn echo(message: String) -> String {
    message
}

struct Desk;

async fn function(mesh: AgentMesh) {
    let _ = mesh.serve(echo).await;
}

async fn value(mesh: AgentMesh) {
    let _ = mesh.register(Desk).await;
}

async fn list(mesh: AgentMesh) {
    let _ = mesh.register(agents![Desk]).await;
}

fn main() {}
