use openagentmesh::AgentSpec;

fn main() {
    let _ = AgentSpec::new("sync", "Is not async.").handler(|n: i64| n * 2);
}
