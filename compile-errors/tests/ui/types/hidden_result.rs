use openagentmesh::agent;

type Reply = Result<String, String>;

/// Returns an alias of `Result`.
#[agent]
async fn hidden() -> Reply {
    Err("no".to_owned())
}

fn main() {}
