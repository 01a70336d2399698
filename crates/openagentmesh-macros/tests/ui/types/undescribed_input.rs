use openagentmesh::{agent, serde};

#[derive(serde::Deserialize)]
#[serde(crate = "openagentmesh::serde")]
struct Order {
    _id: u64,
}

/// Takes an order whose schema nobody can know.
#[agent]
async fn order(_order: Order) -> bool {
    true
}

fn main() {}
