use openagentmesh::agent;

#[agent]
async fn mystery(n: i64) -> i64 {
    n
}

fn main() {}
