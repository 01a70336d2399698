//! Values that all processes on the mesh share: `cargo run --example shared_values`. The example
//! puts, reads and watches values, and modifies one concurrently without lost updates.

use openagentmesh::{AgentMesh, ErrorCode, Json, KvChange, KvEntry, Result};
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Serialize, Deserialize)]
struct Stock {
    apples: u32,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mesh = AgentMesh::from_env().await?;
    let kv = mesh.kv();

    // Text is stored unchanged, so that agents in any language can read it.
    kv.put("shop.motto", "fresh every day").await?;
    if let Some(motto) = kv.get("shop.motto").await? {
        println!("the motto: {}", motto.text()?);
    }

    // Only the first create of a key succeeds.
    kv.create("shop.stock", Json(Stock { apples: 10 })).await?;
    match kv.create("shop.stock", Json(Stock::default())).await {
        Err(error) if error.code() == &ErrorCode::KvKeyExists => {
            println!("the stock already exists")
        }
        other => drop(other?),
    }

    // Concurrent sales: `modify` retries on a conflict, so no apple is sold twice.
    let sales = (0..5).map(|_| {
        kv.modify("shop.stock", |stock: Option<&KvEntry>| {
            let mut stock: Stock = stock.map_or(Ok(Stock::default()), KvEntry::json)?;
            stock.apples = stock.apples.saturating_sub(1);
            Ok(Json(stock))
        })
    });
    futures::future::try_join_all(sales).await?;

    // A watch begins with the current values; changes follow.
    let mut changes = kv.watch("shop.*").await?;
    kv.delete("shop.motto").await?;
    while let Some(change) = changes.next().await {
        match change? {
            KvChange::Put(entry) => println!("{} is {}", entry.key, entry.text()?),
            deleted => {
                println!("{} is deleted", deleted.key());
                break;
            }
        }
    }
    kv.delete("shop.stock").await?;
    mesh.shutdown().await
}
