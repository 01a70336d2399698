//! What is called, streamed and subscribed to.

use std::sync::Arc;

use futures::{StreamExt, stream};
use openagentmesh::{Agent, AgentSpec, Context, Result};
use tokio::sync::{Mutex, mpsc};

use super::{LimitedOrder, Order};
use crate::roles::body;

pub(in crate::roles) fn agents() -> Vec<Agent> {
    let echo =
        AgentSpec::new("bench.echo", "Gives back.").handler(|body: String| async move { body });
    let relay = AgentSpec::new("bench.relay", "Has another give back.").handler(
        |ctx: Context, body: String| async move {
            let reply: Result<String> = ctx.mesh().call("bench.echo", body).await;
            reply
        },
    );
    let order = AgentSpec::new("bench.order", "Counts what is ordered.")
        .handler(|order: Order| async move { order.quantity });
    let limited = AgentSpec::new(
        "bench.limited-order",
        "Counts what is ordered within limits.",
    )
    .handler(|order: LimitedOrder| async move { order.quantity });
    let chunks = AgentSpec::new("bench.chunks", "Streams so many bodies.")
        .handler(|count: u32| stream::iter((0..count).map(|_| body())));
    let [publish, news] = publisher();
    vec![echo, relay, order, limited, chunks, publish, news]
}

/// An agent that publishes what the other is asked for.
fn publisher() -> [Agent; 2] {
    let (publish, asked) = mpsc::channel::<u32>(1);
    let asked = Arc::new(Mutex::new(asked));
    let publish = AgentSpec::new("bench.publish", "Has so many events published.").handler(
        move |count: u32| {
            let publish = publish.clone();
            async move { publish.send(count).await }
        },
    );
    let news = AgentSpec::new("bench.news", "Publishes what it is asked for.").handler(move || {
        let batches = stream::unfold(Arc::clone(&asked), |asked| async move {
            let count = asked.lock().await.recv().await?;
            Some((stream::iter((0..count).map(|_| body())), asked))
        });
        batches.flatten()
    });
    [publish, news]
}
