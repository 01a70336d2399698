//! A subscription is to one publisher, to a channel, or to a subject:
//! `cargo run --example subscribe`. The example serves the publishers itself, so that it runs
//! alone. Look at the events of each subscription, and at the names that a subscriber must know in
//! advance.

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
    repeated_price(120)
}

/// Publishes the price of pears.
#[agent(channel = "market")]
fn pears() -> impl Stream<Item = u32> {
    repeated_price(180)
}

fn repeated_price(cents: u32) -> impl Stream<Item = u32> {
    stream! {
        let mut ticks = interval(Duration::from_millis(50));
        loop {
            ticks.tick().await;
            yield cents;
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let mesh = AgentMesh::from_env().await?;

    // A channel: all its publishers, including those that register later.
    let mut market = mesh.subscribe_channel::<u32>("market").await?;
    mesh.register(agents![apples, pears]).await?;
    let mut publishers = BTreeSet::new();
    while publishers.len() < 2
        && let Some(price) = market.try_next().await?
    {
        publishers.extend(price.agent().map(|agent| agent.to_string()));
    }
    println!("on the market: {publishers:?}");

    // One publisher. The subscription ends with the publisher; this one is dropped earlier.
    let mut prices = mesh.subscribe::<u32>("market.apples").await?.take(2);
    while let Some(price) = prices.next().await {
        println!("apples cost {} cents", price?.data);
    }

    // A subject, with or without wildcards: all messages on it, from any sender.
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
