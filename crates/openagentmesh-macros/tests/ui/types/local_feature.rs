use openagentmesh::AgentMesh;

async fn local() {
    let _ = AgentMesh::local().await;
}

fn main() {}
