use openagentmesh::agent;

/// Adds two numbers.
#[agent]
async fn add(left: i64, right: i64) -> i64 {
    left + right
}

fn main() {}
