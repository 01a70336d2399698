//! Events come from one publisher, from all of a channel, or from any subject:
//! `cargo run --example subscribe`. It serves the publishers itself, so that it runs alone. Look at
//! what each subscription hears, and at what it need not know beforehand.

use std::collections::BTreeSet;
use std::time::Duration;

use async_stream::stream;
use futures::{Stream, StreamExt, TryStreamExt};
use openagentmesh::{AgentMesh, Result, agent, agents};
use serde_json::{Value, json};
use tokio::time::interval;

/// Publishes the price of apples.
#[agent(channel = "market")]
fn apples() -> impl Stream<Item = u32> {
    calling_out(120)
}

/// Publishes the price of pears.
#[agent(channel = "market")]
fn pears() -> impl Stream<Item = u32> {
    calling_out(180)
}

fn calling_out(cents: u32) -> impl Stream<Item = u32> {
    stream! {
        let mut moments = interval(Duration::from_millis(50));
        loop {
            moments.tick().await;
            yield cents;
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mesh = AgentMesh::from_env().await?;

    // A channel: whoever publishes in it, also those who come later.
    let mut market = mesh.subscribe_channel::<u32>("market").await?;
    mesh.register(agents![apples, pears]).await?;
    let mut stalls = BTreeSet::new();
    while stalls.len() < 2
        && let Some(price) = market.try_next().await?
    {
        stalls.extend(price.agent().map(|agent| agent.to_string()));
    }
    println!("on the market: {stalls:?}");

    // One publisher. Its stream ends when the publisher does; this one is dropped before.
    let mut prices = mesh.subscribe::<u32>("market.apples").await?.take(2);
    while let Some(price) = prices.next().await {
        println!("apples cost {} cents", price?.data);
    }

    // A subject, with or without wildcards: whatever anybody publishes there.
    let mut orders = mesh
        .subscribe_subject::<Value>("orders.*")
        .timeout(Duration::from_secs(5))
        .await?;
    mesh.publish("orders.apples", json!({"kilos": 2})).await?;
    mesh.publish("orders.pears", json!({"kilos": 1})).await?;
    for _ in 0..2 {
        if let Some(order) = orders.try_next().await? {
            println!("{}: {} kg", order.subject(), order.data["kilos"]);
        }
    }
    mesh.shutdown().await
}
