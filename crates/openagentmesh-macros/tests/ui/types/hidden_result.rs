use openagentmesh::agent;

type Reply = Result<String, String>;

/// Fails under another name.
#[agent]
async fn hidden() -> Reply {
    Err("no".to_owned())
}

fn main() {}
