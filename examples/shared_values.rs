//! Values that every process on the mesh shares: `cargo run --example shared_values`. Put, read,
//! watch, and change without losing what others change at the same time.

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

    // Text is stored as it is, so that agents in any language read it.
    kv.put("shop.motto", "fresh every day").await?;
    if let Some(motto) = kv.get("shop.motto").await? {
        println!("the motto: {}", motto.text()?);
    }

    // Whoever comes first creates it.
    kv.create("shop.stock", Json(Stock { apples: 10 })).await?;
    match kv.create("shop.stock", Json(Stock::default())).await {
        Err(error) if error.code() == &ErrorCode::KvKeyExists => println!("it is there already"),
        other => drop(other?),
    }

    // Everybody sells at once, and no apple is sold twice.
    let sales = (0..5).map(|_| {
        kv.modify("shop.stock", |stock: Option<&KvEntry>| {
            let mut stock: Stock = stock.map_or(Ok(Stock::default()), KvEntry::json)?;
            stock.apples = stock.apples.saturating_sub(1);
            Ok(Json(stock))
        })
    });
    futures::future::try_join_all(sales).await?;

    // First what there is, then what happens.
    let mut changes = kv.watch("shop.*").await?;
    kv.delete("shop.motto").await?;
    while let Some(change) = changes.next().await {
        match change? {
            KvChange::Put(entry) => println!("{} is {}", entry.key, entry.text()?),
            gone => {
                println!("{} is gone", gone.key());
                break;
            }
        }
    }
    kv.delete("shop.stock").await?;
    mesh.shutdown().await
}
