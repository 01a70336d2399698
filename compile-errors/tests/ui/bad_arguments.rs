use openagentmesh::agent;

/// Has an invalid name.
#[agent(name = "nlp.sum mary")]
async fn spaced(n: i64) -> i64 {
    n
}

/// Has an unknown argument.
#[agent(chanel = "nlp")]
async fn misspelled(n: i64) -> i64 {
    n
}

/// Has no concurrency.
#[agent(concurrency = 0)]
async fn stuck(n: i64) -> i64 {
    n
}

fn main() {}
