use std::sync::Arc;

use openagentmesh::AgentSpec;

struct Db;

async fn query(_db: Arc<Db>) -> u32 {
    1
}

fn main() {
    let _ = AgentSpec::new("query", "Queries.").handler(query);
}
