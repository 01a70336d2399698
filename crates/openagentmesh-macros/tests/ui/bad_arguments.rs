use openagentmesh::agent;

/// Has a name that cannot be.
#[agent(name = "nlp.sum mary")]
async fn spaced(n: i64) -> i64 {
    n
}

/// Has an argument that does not exist.
#[agent(chanel = "nlp")]
async fn misspelled(n: i64) -> i64 {
    n
}

/// Could never run.
#[agent(concurrency = 0)]
async fn stuck(n: i64) -> i64 {
    n
}

fn main() {}
