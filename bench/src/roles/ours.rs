//! This SDK, used as its users use it.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use openagentmesh::{Agent, AgentMesh, AgentSpec};
use tokio::sync::{Mutex, mpsc};

use super::{body, caller};
use crate::Result;

/// So many events come at once: fewer than a subscriber keeps for a slow reader.
const BATCH: u32 = 12_000;

pub(super) fn agents() -> Vec<Agent> {
    let echo =
        AgentSpec::new("bench.echo", "Gives back.").handler(|body: String| async move { body });
    let chunks = AgentSpec::new("bench.chunks", "Streams so many bodies.")
        .handler(|count: u32| stream::iter((0..count).map(|_| body())));

    let (publish, asked) = mpsc::channel::<u32>(1);
    let asked = Arc::new(Mutex::new(asked));
    let publish = AgentSpec::new("bench.publish", "Has so many events published.").handler(
        move |count: u32| {
            let publish = publish.clone();
            async move { publish.send(count).await }
        },
    );
    let events =
        AgentSpec::new("bench.news", "Publishes what it is asked for.").handler(move || {
            let batches = stream::unfold(Arc::clone(&asked), |asked| async move {
                let count = asked.lock().await.recv().await?;
                Some((stream::iter((0..count).map(|_| body())), asked))
            });
            batches.flatten()
        });
    vec![echo, chunks, publish, events]
}

#[derive(Clone)]
pub(super) struct Caller {
    mesh: AgentMesh,
    body: Arc<str>,
}

impl Caller {
    pub(super) async fn connect(url: &str) -> Result<Self> {
        Ok(Self {
            mesh: AgentMesh::connect(url).await?,
            body: body().into(),
        })
    }
}

impl caller::Calls for Caller {
    async fn call(&self) -> Result<()> {
        let reply: String = self.mesh.call("bench.echo", &*self.body).await?;
        if *reply != *self.body {
            return Err("another body came back".into());
        }
        Ok(())
    }

    async fn chunks(&self, messages: u32) -> Result<()> {
        let chunks = self.mesh.stream::<String>("bench.chunks", messages).await?;
        let count = chunks
            .try_fold(0, |count, _| async move { Ok(count + 1) })
            .await?;
        if count != messages {
            return Err(format!("{count} chunks came of {messages}").into());
        }
        Ok(())
    }

    async fn events(&self, messages: u32) -> Result<()> {
        let mut events = self.mesh.subscribe::<String>("bench.news").await?;
        let mut left = messages;
        while left > 0 {
            let batch = left.min(BATCH);
            self.mesh.call::<()>("bench.publish", batch).await?;
            for _ in 0..batch {
                events.try_next().await?.ok_or("the events ended")?;
            }
            left -= batch;
        }
        Ok(())
    }
}
