//! The sample agents, at least one of each shape.

use std::time::Duration;

use futures::{Stream, stream};
use openagentmesh::{Agent, Context, agent, agents};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Time between two orders.
const ORDER_INTERVAL: Duration = Duration::from_millis(300);

/// The items, with their prices in cents.
const MENU: [(&str, u32); 4] = [("tea", 290), ("coffee", 340), ("cake", 480), ("soup", 650)];

/// Echoes a message back.
#[agent]
async fn echo(message: String) -> String {
    format!("Echo: {message}")
}

#[derive(Deserialize, JsonSchema)]
struct Text {
    /// The text to analyze.
    #[schemars(length(min = 1))]
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Counts {
    words: usize,
    letters: usize,
}

/// Counts the words and letters of a text.
#[agent(channel = "text", tags = ["text"], version = "1.0.0")]
async fn count(input: Text) -> Counts {
    Counts {
        words: input.text.split_whitespace().count(),
        letters: input.text.chars().filter(|c| c.is_alphabetic()).count(),
    }
}

/// Streams the words of a text, one by one.
#[agent(channel = "text", tags = ["text"])]
fn words(input: Text) -> impl Stream<Item = String> {
    let words: Vec<String> = input.text.split_whitespace().map(str::to_owned).collect();
    stream::iter(words)
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Order {
    item: String,
    cents: u32,
}

/// Publishes each order as it arrives.
#[agent(channel = "shop", tags = ["orders"])]
fn orders() -> impl Stream<Item = Order> {
    stream::unfold(
        tokio::time::interval(ORDER_INTERVAL),
        |mut interval| async move {
            interval.tick().await;
            let (item, cents) = MENU[rand::random_range(0..MENU.len())];
            let item = item.to_owned();
            Some((Order { item, cents }, interval))
        },
    )
}

#[derive(Clone, Default, Serialize, JsonSchema)]
struct Turnover {
    orders: u32,
    cents: u32,
}

/// The turnover, which `bookkeeper` writes and `turnover` reads.
#[derive(Default)]
struct Books {
    turnover: watch::Sender<Turnover>,
}

#[agent(channel = "shop")]
impl Books {
    /// Adds up the orders, in the background.
    #[agent(tags = ["orders"])]
    async fn bookkeeper(&self, ctx: Context) -> openagentmesh::Result<()> {
        let mut orders = ctx.mesh().subscribe::<Order>("shop.orders").await?;
        while let Some(order) = orders.next().await {
            let order = order?.data;
            self.turnover.send_modify(|turnover| {
                turnover.orders += 1;
                turnover.cents += order.cents;
            });
        }
        Ok(())
    }

    /// Returns the turnover once the first order is booked.
    #[agent(tags = ["orders"])]
    async fn turnover(&self) -> Turnover {
        let mut turnover = self.turnover.subscribe();
        match turnover.wait_for(|turnover| turnover.orders > 0).await {
            Ok(turnover) => turnover.clone(),
            // The sender lives as long as the agents.
            Err(_) => Turnover::default(),
        }
    }
}

pub(super) fn all() -> Vec<Agent> {
    let mut all = Vec::from(agents![echo, count, words, orders]);
    all.extend(Books::agents(Books::default()));
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::all;

    #[test]
    fn compact_catalog_is_at_most_thirty_tokens_per_agent() {
        let lines: Vec<String> = all()
            .iter()
            .map(|agent| agent.contract().unwrap().to_catalog_entry().to_compact())
            .collect();
        let tokens = tiktoken_rs::o200k_base_singleton().count_ordinary(&lines.join("\n"));
        assert!(tokens <= 30 * lines.len(), "{tokens} tokens for {lines:#?}");
    }
}
