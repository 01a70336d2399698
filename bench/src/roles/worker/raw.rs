//! The bare client.

use std::path::Path;

use async_nats::jetstream::kv::Store;
use async_nats::jetstream::object_store::ObjectStore;
use async_nats::jetstream::{self, kv, object_store};
use async_nats::{Client, Subscriber};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use openagentmesh::Agent;
use openagentmesh::protocol::bucket::{ARTIFACTS, CATALOG, CATALOG_KEY};
use serde::Serialize;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;

use super::{CONCURRENT_CONNECTS, Operations};
use crate::error::Result;
use crate::measure::BodySize;
use crate::roles::raw::{Caller, Order};

/// The bare client. Its object store is the bucket of this SDK, which has the same configuration; its
/// registry has buckets of its own.
pub(in crate::roles) struct Raw {
    url: String,
    client: Client,
    catalog: Store,
    registry: Store,
    files: ObjectStore,
    /// The open stream and the number of messages that it still has.
    stream: Mutex<Option<(Subscriber, u32)>>,
}

impl Raw {
    pub(in crate::roles) async fn connect(url: &str) -> Result<Self> {
        let client = async_nats::connect(url).await?;
        let jetstream = jetstream::new(client.clone());
        let store = async |name: &str| {
            let bucket = name.to_owned();
            let config = kv::Config {
                bucket,
                ..kv::Config::default()
            };
            jetstream.create_key_value(config).await
        };
        let files = object_store::Config {
            bucket: ARTIFACTS.to_owned(),
            ..object_store::Config::default()
        };
        Ok(Self {
            url: url.to_owned(),
            catalog: store("raw-catalog").await?,
            registry: store("raw-registry").await?,
            files: jetstream.create_object_store(files).await?,
            client,
            stream: Mutex::default(),
        })
    }
}

impl Operations for Raw {
    /// The minimum that lists and serves agents: a subscription and a document for each, and one list.
    async fn register(&self, agents: Vec<Agent>) -> Result<()> {
        const CONCURRENT_PUTS: usize = 64;
        let mut documents = Vec::new();
        let mut entries = Vec::new();
        for agent in &agents {
            let contract = agent.contract()?;
            let subject = format!("raw.agent.{}", contract.name);
            let mut requests = self.client.subscribe(subject).await?;
            tokio::spawn(async move { while requests.next().await.is_some() {} });
            entries.push(contract.to_catalog_entry());
            documents.push((contract.name.to_string(), json(&contract)?));
        }
        stream::iter(documents)
            .map(|(key, document)| async { self.registry.put(key, document).await })
            .buffer_unordered(CONCURRENT_PUTS)
            .try_collect::<Vec<_>>()
            .await?;
        self.catalog.put("catalog", json(&entries)?).await?;
        Ok(())
    }

    async fn connect_again(&self) -> Result<()> {
        async_nats::connect(&self.url).await?;
        Ok(())
    }

    /// Reads one key, without parsing its text.
    async fn connect_and_look(&self) -> Result<Option<usize>> {
        let jetstream = jetstream::new(async_nats::connect(&self.url).await?);
        let store = jetstream.get_key_value(CATALOG).await?;
        let catalog = store.get(CATALOG_KEY).await?;
        catalog.ok_or("the bucket has no catalog")?;
        Ok(None)
    }

    async fn catalog(&self, _channel: &str) -> Result<usize> {
        Err("the bare client has no catalog".into())
    }

    /// Watches the key of the catalog: each change is the whole catalog.
    async fn follow(&self, connections: u32) -> Result<()> {
        stream::iter(0..connections)
            .map(async |_| -> Result<()> {
                let jetstream = jetstream::new(async_nats::connect(&self.url).await?);
                let store = jetstream.get_key_value(CATALOG).await?;
                let mut changes = store.watch_with_history(CATALOG_KEY).await?;
                changes.next().await.ok_or("the watch ended")??;
                tokio::spawn(async move { while changes.next().await.is_some() {} });
                Ok(())
            })
            .buffer_unordered(CONCURRENT_CONNECTS)
            .try_collect()
            .await
    }

    async fn know(&self, _agent: &str) -> Result<()> {
        Err("the bare client does not parse the catalog".into())
    }

    async fn open_stream(&self, chunks: u32) -> Result<()> {
        let caller = Caller::connect(&self.url).await?;
        let mut messages = caller
            .order(&Order::Bodies(chunks, BodySize::Medium))
            .await?;
        messages.next().await.ok_or("connection lost")?;
        *self.stream.lock().await = Some((messages, chunks - 1));
        Ok(())
    }

    async fn read_stream(&self) -> Result<()> {
        let stream = self.stream.lock().await.take();
        let (mut messages, expected) = stream.ok_or("no stream is open")?;
        for _ in 0..expected {
            messages.next().await.ok_or("connection lost")?;
        }
        Ok(())
    }

    async fn put(&self, name: &str, content: Bytes) -> Result<()> {
        let mut content = std::io::Cursor::new(content);
        self.files.put(name, &mut content).await?;
        Ok(())
    }

    async fn get(&self, name: &str) -> Result<usize> {
        let mut content = Vec::new();
        let mut object = self.files.get(name).await?;
        object.read_to_end(&mut content).await?;
        Ok(content.len())
    }

    async fn put_file(&self, name: &str, path: &Path) -> Result<()> {
        self.files.put(name, &mut File::open(path).await?).await?;
        Ok(())
    }

    async fn get_file(&self, name: &str, path: &Path) -> Result<()> {
        let mut object = self.files.get(name).await?;
        let mut file = File::create(path).await?;
        tokio::io::copy(&mut object, &mut file).await?;
        Ok(file.sync_all().await?)
    }
}

fn json(value: &impl Serialize) -> Result<Bytes> {
    Ok(serde_json::to_vec(value)?.into())
}
