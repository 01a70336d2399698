//! Many calls at once: `cargo run --example fan_out`. Requests are futures, so everything that takes
//! futures takes them: `join!`, `join_all`, `select!`, `tokio::spawn`, `FuturesUnordered`, `buffered`.
//! A request is sent when it is first polled, and cancelled at its host when it is dropped.

use std::time::Duration;

use futures::future::join_all;
use futures::stream::{self, FuturesUnordered, StreamExt, TryStreamExt};
use openagentmesh::{Agent, AgentMesh, AgentSpec, Error, Result, agent, agents};

/// Counts the words of a text.
#[agent]
async fn count(text: String) -> usize {
    text.split_whitespace().count()
}

/// A shop that offers goods after some time, or is closed.
fn shop(name: &str, cents: Option<u32>, delay: Duration) -> Agent {
    AgentSpec::new(name, "Offers goods at a price in cents.")
        .channel("shops")
        .handler(move |_goods: String| async move {
            tokio::time::sleep(delay).await;
            cents.ok_or_else(|| Error::new("closed", "the shop is closed"))
        })
}

#[tokio::main]
async fn main() -> Result<()> {
    let mesh = AgentMesh::from_env().await?;
    let shops = [
        shop("north", Some(120), Duration::from_millis(500)),
        shop("south", Some(130), Duration::ZERO),
        shop("west", None, Duration::ZERO),
    ];
    mesh.register((agents![count], shops)).await?;

    // Two agents with replies of different types. `count::call` knows those of the function `count`.
    let (words, cents) = tokio::try_join!(
        count::call(&mesh, "one two three"),
        mesh.call::<u32>("shops.south", "apples"),
    )?;
    println!("{words} words, apples for {cents} cents");

    // All agents of a channel. One failure does not hide the other replies.
    let shops = mesh.catalog().channel("shops").await?;
    let offers = shops
        .iter()
        .map(|shop| mesh.call::<u32>(shop.name.as_str(), "pears"));
    for (shop, offer) in shops.iter().zip(join_all(offers).await) {
        match offer {
            Ok(cents) => println!("{}: pears for {cents} cents", shop.name),
            Err(error) => println!("{}: {error}", shop.name),
        }
    }

    // The first good reply. The other calls are dropped, which cancels them.
    let mut offers: FuturesUnordered<_> = shops
        .iter()
        .map(|shop| mesh.call::<u32>(shop.name.as_str(), "plums"))
        .collect();
    while let Some(offer) = offers.next().await {
        if let Ok(cents) = offer {
            println!("the fastest shop offers plums for {cents} cents");
            break;
        }
    }
    drop(offers);

    // Many inputs for one agent: two calls at a time, the replies in order.
    let texts = ["a b", "c", "d e f", "g"];
    let counts: Vec<usize> = stream::iter(texts)
        .map(|text| count::call(&mesh, text))
        .buffered(2)
        .try_collect()
        .await?;
    println!("words of each text: {counts:?}");
    mesh.shutdown().await
}
