//! This SDK.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use openagentmesh::{Agent, AgentMesh, Chunks};
use tokio::sync::Mutex;

use super::{CONCURRENT_CONNECTS, Operations};
use crate::error::Result;
use crate::measure::BodySize;
use crate::roles::ours::chunks_agent;

/// Limit of the time until a follower knows an agent.
const KNOW_TIMEOUT: Duration = Duration::from_secs(120);

/// This SDK.
pub(in crate::roles) struct Ours {
    url: String,
    mesh: AgentMesh,
    followers: Mutex<Vec<AgentMesh>>,
    /// The open stream and the number of chunks that it still has.
    stream: Mutex<Option<(Chunks<String>, u32)>>,
}

impl Ours {
    pub(in crate::roles) async fn connect(url: &str) -> Result<Self> {
        Ok(Self {
            url: url.to_owned(),
            mesh: AgentMesh::connect(url).await?,
            followers: Mutex::default(),
            stream: Mutex::default(),
        })
    }
}

impl Operations for Ours {
    async fn register(&self, agents: Vec<Agent>) -> Result<()> {
        Ok(self.mesh.register(agents).await?)
    }

    async fn connect_again(&self) -> Result<()> {
        AgentMesh::connect(&self.url).await?;
        Ok(())
    }

    async fn connect_and_look(&self) -> Result<Option<usize>> {
        let mesh = AgentMesh::connect(&self.url).await?;
        Ok(Some(mesh.catalog().await?.len()))
    }

    async fn catalog(&self, channel: &str) -> Result<usize> {
        Ok(self.mesh.catalog().channel(channel).await?.len())
    }

    async fn follow(&self, connections: u32) -> Result<()> {
        let followers: Vec<AgentMesh> = stream::iter(0..connections)
            .map(async |_| -> Result<AgentMesh> {
                let mesh = AgentMesh::connect(&self.url).await?;
                mesh.catalog().await?;
                Ok(mesh)
            })
            .buffer_unordered(CONCURRENT_CONNECTS)
            .try_collect()
            .await?;
        self.followers.lock().await.extend(followers);
        Ok(())
    }

    async fn know(&self, agent: &str) -> Result<()> {
        let followers = self.followers.lock().await;
        let listed = followers
            .iter()
            .map(|mesh| mesh.wait_for(agent).timeout(KNOW_TIMEOUT));
        try_join_all(listed).await?;
        Ok(())
    }

    async fn open_stream(&self, chunks: u32) -> Result<()> {
        let agent = chunks_agent(BodySize::Medium);
        let mut stream = self.mesh.stream::<String>(agent, chunks).await?;
        stream.try_next().await?.ok_or("the stream has no chunk")?;
        *self.stream.lock().await = Some((stream, chunks - 1));
        Ok(())
    }

    async fn read_stream(&self) -> Result<()> {
        let stream = self.stream.lock().await.take();
        let (stream, expected) = stream.ok_or("no stream is open")?;
        let count = stream.try_fold(0, |count, _| async move { Ok(count + 1) });
        match count.await? {
            count if count == expected => Ok(()),
            count => Err(format!("{count} of {expected} chunks received").into()),
        }
    }

    async fn put(&self, name: &str, content: Bytes) -> Result<()> {
        self.mesh.workspace().put(name, content).await?;
        Ok(())
    }

    async fn get(&self, name: &str) -> Result<usize> {
        Ok(self.mesh.workspace().get(name).await?.len())
    }

    async fn put_file(&self, name: &str, path: &Path) -> Result<()> {
        self.mesh.workspace().put_file(name, path).await?;
        Ok(())
    }

    async fn get_file(&self, name: &str, path: &Path) -> Result<()> {
        self.mesh.workspace().get(name).to_file(path).await?;
        Ok(())
    }
}
