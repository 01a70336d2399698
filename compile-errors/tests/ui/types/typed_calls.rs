use openagentmesh::{AgentMesh, Result, agent, schemars, serde};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "openagentmesh::serde")]
#[schemars(crate = "openagentmesh::schemars")]
struct Order {
    pieces: u32,
}

#[derive(serde::Serialize, schemars::JsonSchema)]
#[serde(crate = "openagentmesh::serde")]
#[schemars(crate = "openagentmesh::schemars")]
struct Quote {
    cents: u32,
}

/// Prices an order.
#[agent]
async fn price(order: Order) -> Quote {
    Quote {
        cents: order.pieces,
    }
}

/// Quotes.
#[agent]
async fn quote() -> Quote {
    Quote { cents: 1 }
}

async fn input(mesh: AgentMesh, order: Order) {
    let _ = price::call(&mesh, order);
}

async fn other_input(mesh: AgentMesh) {
    let _ = price::call(&mesh, 1);
}

async fn output(mesh: AgentMesh) -> Result<()> {
    quote::call(&mesh).await?;
    Ok(())
}

fn main() {}
