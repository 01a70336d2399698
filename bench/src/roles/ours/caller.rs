//! The caller.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::TryStreamExt;
use openagentmesh::{AgentMesh, Events, KvChange};

use super::{LimitedOrder, Order, chunks_agent};
use crate::error::Result;
use crate::measure::BodySize;
use crate::roles::body::{QUANTITY, body, json_body};
use crate::roles::calls::{Callee, Calls, batches, take_all};
use crate::roles::raw::SINK;
use crate::roles::tokens;

#[derive(Clone)]
pub(in crate::roles) struct Caller {
    mesh: AgentMesh,
    /// The agent that returns its input.
    echo: &'static str,
    order: Arc<Order>,
    limited_order: Arc<LimitedOrder>,
}

impl Caller {
    pub(in crate::roles) async fn connect(url: &str) -> Result<Self> {
        let (article, note) = ("hammer".to_owned(), "x".repeat(40));
        let order = Order {
            article: article.clone(),
            quantity: QUANTITY,
            note: note.clone(),
        };
        let limited_order = LimitedOrder {
            article,
            quantity: QUANTITY,
            note,
        };
        Ok(Self {
            mesh: AgentMesh::connect(url).await?,
            echo: "bench.echo",
            order: order.into(),
            limited_order: limited_order.into(),
        })
    }

    /// The same caller, of another agent that returns its input.
    pub(in crate::roles) fn calling(self, echo: &'static str) -> Self {
        Self { echo, ..self }
    }

    async fn echo(&self, agent: &str, size: BodySize) -> Result<()> {
        let body = body(size);
        let reply: String = self.mesh.call(agent, body).await?;
        if reply != body {
            return Err("the reply differs from the body".into());
        }
        Ok(())
    }
}

impl Calls for Caller {
    async fn call(&self, callee: Callee) -> Result<()> {
        let quantity: u32 = match callee {
            Callee::Echo(size) => return self.echo(self.echo, size).await,
            Callee::Relay => return self.echo("bench.relay", BodySize::Standard).await,
            Callee::Order => self.mesh.call("bench.order", &*self.order).await?,
            Callee::LimitedOrder => {
                let order = &*self.limited_order;
                self.mesh.call("bench.limited-order", order).await?
            }
        };
        if quantity != QUANTITY {
            return Err("the reply differs from the quantity".into());
        }
        Ok(())
    }

    async fn chunks(&self, size: BodySize, messages: u32) -> Result<Duration> {
        let started = Instant::now();
        let agent = chunks_agent(size);
        let mut chunks = self.mesh.stream::<String>(agent, messages).await?;
        chunks.try_next().await?.ok_or("the stream has no chunk")?;
        let first = started.elapsed();
        let others = chunks.try_fold(0, |count, _| async move { Ok(count + 1) });
        let count = others.await? + 1;
        if count != messages {
            return Err(format!("{count} of {messages} chunks received").into());
        }
        Ok(first)
    }

    async fn tokens(&self, messages: u32) -> Result<Vec<f64>> {
        let mut latencies = Vec::with_capacity(messages as usize);
        let mut chunks = self.mesh.stream::<u64>("bench.tokens", messages).await?;
        while let Some(created) = chunks.try_next().await? {
            latencies.push(tokens::seconds_since(created));
        }
        Ok(latencies)
    }

    async fn publish(&self, messages: u32) -> Result<()> {
        for _ in 0..messages {
            let body = json_body(BodySize::Medium).as_bytes();
            let body = Bytes::from_static(body);
            self.mesh.publish_bytes(SINK, body).await?;
        }
        Ok(())
    }

    async fn events(&self, messages: u32, subscribers: u32) -> Result<()> {
        let mut taking = Vec::new();
        for _ in 0..subscribers {
            taking.push(self.mesh.subscribe::<String>("bench.news").await?);
        }
        for batch in batches(messages) {
            self.mesh.call::<()>("bench.publish", batch).await?;
            taking = take_all(taking, |events| take(events, batch)).await?;
        }
        Ok(())
    }

    async fn put(&self, key: &str) -> Result<()> {
        self.mesh.kv().put(key, body(BodySize::Standard)).await?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<()> {
        let entry = self
            .mesh
            .kv()
            .get(key)
            .await?
            .ok_or("the key has no value")?;
        if entry.value != body(BodySize::Standard).as_bytes() {
            return Err("the value differs from the body".into());
        }
        Ok(())
    }

    async fn watch(&self, key: &str, messages: u32) -> Result<Vec<f64>> {
        let mut changes = self.mesh.kv().watch(key).updates_only().await?;
        let mut latencies = Vec::with_capacity(messages as usize);
        for _ in 0..messages {
            let started = Instant::now();
            let delivered = async {
                match changes.next().await.ok_or("the watch ended")?? {
                    KvChange::Put(_) => Ok(started.elapsed()),
                    change => Err(format!("unexpected change {change:?}").into()),
                }
            };
            let ((), latency) = futures::try_join!(self.put(key), delivered)?;
            latencies.push(latency.as_secs_f64());
        }
        Ok(latencies)
    }
}

/// Receives `count` events and returns the subscription.
async fn take(mut events: Events<String>, count: u32) -> Result<Events<String>> {
    for _ in 0..count {
        events.try_next().await?.ok_or("the events ended")?;
    }
    Ok(events)
}
