//! The process that registers agents, transfers files and measures.

use std::path::Path;
use std::time::Instant;

use async_nats::Client;
use async_nats::jetstream::kv::Store;
use async_nats::jetstream::object_store::ObjectStore;
use async_nats::jetstream::{self, kv, object_store};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use openagentmesh::protocol::bucket::{ARTIFACTS, CATALOG, CATALOG_KEY};
use openagentmesh::{Agent, AgentMesh, AgentSpec};
use serde::Serialize;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::body::noise;
use super::role::READY;
use super::stdio::answer;
use crate::error::Result;
use crate::measure::{Done, Job};

/// The operations of a contender.
pub(super) trait Operations {
    /// Registers `agents` and serves them until the process ends.
    async fn register(&self, agents: Vec<Agent>) -> Result<()>;
    /// Opens a second connection.
    async fn connect_again(&self) -> Result<()>;
    /// Opens a second connection and fetches the catalog; returns its number of agents, if it is parsed.
    async fn connect_and_look(&self) -> Result<Option<usize>>;
    /// Returns the number of agents of a channel.
    async fn catalog(&self, channel: &str) -> Result<usize>;
    async fn put(&self, name: &str, content: Bytes) -> Result<()>;
    /// Returns the number of bytes.
    async fn get(&self, name: &str) -> Result<usize>;
    async fn put_file(&self, name: &str, path: &Path) -> Result<()>;
    async fn get_file(&self, name: &str, path: &Path) -> Result<()>;
}

pub(super) async fn run(
    operations: impl Operations,
    mut jobs: mpsc::Receiver<String>,
) -> Result<()> {
    answer(&READY)?;
    while let Some(job) = jobs.recv().await {
        let job: Job = serde_json::from_str(&job)?;
        tokio::select! {
            seconds = work(&operations, &job) => answer(&Done {
                seconds: seconds?,
                peak_kibibytes: peak_kibibytes(),
                gave_up: None,
            })?,
            // The bench sends nothing before the answer: its end of the input is closed.
            _ = jobs.recv() => return Ok(()),
        }
    }
    Ok(())
}

/// Runs a job and returns the seconds of its timed part.
async fn work(operations: &impl Operations, job: &Job) -> Result<f64> {
    let started;
    match job {
        Job::Register { names } => {
            let agents = names.iter().map(|name| agent(name)).collect();
            started = Instant::now();
            operations.register(agents).await?;
        }
        Job::Connect => {
            started = Instant::now();
            operations.connect_again().await?;
        }
        Job::ConnectAndLook { agents } => {
            started = Instant::now();
            let listed = operations.connect_and_look().await?;
            if let Some(listed) = listed
                && listed < *agents as usize
            {
                return Err(format!("the catalog lists {listed} of {agents} agents").into());
            }
        }
        Job::Catalog {
            channel,
            agents,
            times,
        } => {
            started = Instant::now();
            for _ in 0..*times {
                let found = operations.catalog(channel).await?;
                if found != *agents as usize {
                    return Err(format!("the channel has {found} of {agents} agents").into());
                }
            }
        }
        Job::Put { name, bytes } => {
            let content = noise(*bytes);
            started = Instant::now();
            operations.put(name, content).await?;
        }
        Job::Get { name, bytes } => {
            started = Instant::now();
            let got = operations.get(name).await?;
            if got != *bytes {
                return Err(format!("{got} of {bytes} bytes received").into());
            }
        }
        Job::PutFile { name, path } => {
            started = Instant::now();
            operations.put_file(name, path).await?;
        }
        Job::GetFile { name, path } => {
            started = Instant::now();
            operations.get_file(name, path).await?;
        }
    }
    Ok(started.elapsed().as_secs_f64())
}

fn agent(name: &str) -> Agent {
    let answer = name.to_owned();
    AgentSpec::new(name, "Returns its name.").handler(move || {
        let answer = answer.clone();
        async move { answer }
    })
}

/// The peak resident memory of this process, where the system reports it.
fn peak_kibibytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// This SDK.
pub(super) struct Ours {
    url: String,
    mesh: AgentMesh,
}

impl Ours {
    pub(super) async fn connect(url: &str) -> Result<Self> {
        Ok(Self {
            url: url.to_owned(),
            mesh: AgentMesh::connect(url).await?,
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

/// The bare client. Its object store is the bucket of this SDK, which has the same configuration; its
/// registry has buckets of its own.
pub(super) struct Raw {
    url: String,
    client: Client,
    catalog: Store,
    registry: Store,
    files: ObjectStore,
}

impl Raw {
    pub(super) async fn connect(url: &str) -> Result<Self> {
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
