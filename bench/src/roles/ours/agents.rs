//! The agents of the host.

use std::sync::Arc;

use futures::{StreamExt, stream};
use openagentmesh::{Agent, AgentSpec, Context, Result};
use tokio::sync::{Mutex, mpsc};

use super::{LimitedOrder, Order};
use crate::roles::body::body;

pub(in crate::roles) fn agents() -> Vec<Agent> {
    let echo = AgentSpec::new("bench.echo", "Returns its input.")
        .handler(|body: String| async move { body });
    let relay = AgentSpec::new("bench.relay", "Calls the echo.").handler(
        |ctx: Context, body: String| async move {
            let reply: Result<String> = ctx.mesh().call("bench.echo", body).await;
            reply
        },
    );
    let order = AgentSpec::new("bench.order", "Returns the quantity.")
        .handler(|order: Order| async move { order.quantity });
    let limited = AgentSpec::new(
        "bench.limited-order",
        "Returns the quantity of a validated order.",
    )
    .handler(|order: LimitedOrder| async move { order.quantity });
    let chunks = AgentSpec::new("bench.chunks", "Streams bodies.")
        .handler(|count: u32| stream::iter((0..count).map(|_| body())));
    let [trigger, news] = publisher();
    vec![echo, relay, order, limited, chunks, trigger, news]
}

/// An agent that triggers events, and the publisher of these events.
fn publisher() -> [Agent; 2] {
    let (sender, triggered) = mpsc::channel::<u32>(1);
    let triggered = Arc::new(Mutex::new(triggered));
    let trigger = AgentSpec::new("bench.publish", "Triggers events.").handler(move |count: u32| {
        let sender = sender.clone();
        async move { sender.send(count).await }
    });
    let news = AgentSpec::new("bench.news", "Publishes the triggered events.").handler(move || {
        let batches = stream::unfold(Arc::clone(&triggered), |triggered| async move {
            let count = triggered.lock().await.recv().await?;
            Some((stream::iter((0..count).map(|_| body())), triggered))
        });
        batches.flatten()
    });
    [trigger, news]
}
