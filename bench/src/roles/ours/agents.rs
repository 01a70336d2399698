//! The agents of the host.

use std::sync::Arc;

use futures::{StreamExt, stream};
use openagentmesh::{Agent, AgentSpec, Context, Result};
use tokio::sync::{Mutex, mpsc};

use super::{LimitedOrder, Order, chunks_agent};
use crate::measure::BodySize;
use crate::roles::body::body;
use crate::roles::tokens;

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
    let tokens = AgentSpec::new("bench.tokens", "Streams the current time at a steady pace.")
        .handler(|count: u32| tokens::times(count));
    let mut agents = vec![echo, relay, order, limited, tokens];
    agents.extend(BodySize::ALL.map(chunks));
    agents.extend(publisher());
    agents
}

fn chunks(size: BodySize) -> Agent {
    AgentSpec::new(chunks_agent(size), "Streams bodies.").handler(move |count: u32| {
        let body = body(size);
        stream::iter((0..count).map(move |_| body))
    })
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
            let body = body(BodySize::Standard);
            Some((stream::iter((0..count).map(move |_| body)), triggered))
        });
        batches.flatten()
    });
    [trigger, news]
}
