use openagentmesh::{agent, serde};

#[derive(serde::Deserialize)]
#[serde(crate = "openagentmesh::serde")]
struct Order {
    _id: u64,
}

/// Takes an order without a schema.
#[agent]
async fn order(_order: Order) -> bool {
    true
}

fn main() {}
