use openagentmesh::AgentMesh;

async fn local() {
    let _ = AgentMesh::local().await;
    let _ = AgentMesh::builder().local().await;
}

fn main() {}
