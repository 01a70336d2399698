use openagentmesh::agent;

/// Doubles a number.
#[agent]
fn double(n: i64) -> i64 {
    n * 2
}

fn main() {}
