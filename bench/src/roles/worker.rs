//! The process that registers agents and moves files, and takes the time.

use std::path::Path;
use std::time::Instant;

use async_nats::Client;
use async_nats::jetstream::kv::Store;
use async_nats::jetstream::object_store::ObjectStore;
use async_nats::jetstream::{self, kv, object_store};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use openagentmesh::protocol::bucket::{CATALOG, CATALOG_KEY};
use openagentmesh::{Agent, AgentMesh, AgentSpec};
use serde::Serialize;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::{READY, say};
use crate::Result;
use crate::measure::{Done, Job};

/// What is measured of every contender.
pub(super) trait Works {
    /// Registers `agents` and serves them on.
    async fn register(&self, agents: Vec<Agent>) -> Result<()>;
    /// Connects once more.
    async fn connect_again(&self) -> Result<()>;
    /// Connects once more and gets the catalog; returns how many agents it has, if that is read.
    async fn connect_and_look(&self) -> Result<Option<usize>>;
    /// Returns how many agents a channel has.
    async fn catalog(&self, channel: &str) -> Result<usize>;
    async fn put(&self, name: &str, content: Bytes) -> Result<()>;
    /// Returns how many bytes came.
    async fn get(&self, name: &str) -> Result<usize>;
    async fn put_file(&self, name: &str, path: &Path) -> Result<()>;
    async fn get_file(&self, name: &str, path: &Path) -> Result<()>;
}

pub(super) async fn run(works: impl Works, mut jobs: mpsc::Receiver<String>) -> Result<()> {
    say(&READY)?;
    while let Some(job) = jobs.recv().await {
        let job: Job = serde_json::from_str(&job)?;
        tokio::select! {
            seconds = work(&works, &job) => say(&Done {
                seconds: seconds?,
                peak_kibibytes: peak_kibibytes(),
                gave_up: None,
            })?,
            // Nobody says anything before the answer: the bench is gone.
            _ = jobs.recv() => return Ok(()),
        }
    }
    Ok(())
}

/// Does a job, and returns how long that part of it took which is measured.
async fn work(works: &impl Works, job: &Job) -> Result<f64> {
    let started;
    match job {
        Job::Register { names } => {
            let agents = names.iter().map(|name| agent(name)).collect();
            started = Instant::now();
            works.register(agents).await?;
        }
        Job::Connect => {
            started = Instant::now();
            works.connect_again().await?;
        }
        Job::ConnectAndLook { agents } => {
            started = Instant::now();
            let listed = works.connect_and_look().await?;
            if let Some(listed) = listed
                && listed < *agents as usize
            {
                return Err(format!("{listed} agents are listed of {agents}").into());
            }
        }
        Job::Catalog {
            channel,
            agents,
            times,
        } => {
            started = Instant::now();
            for _ in 0..*times {
                let found = works.catalog(channel).await?;
                if found != *agents as usize {
                    return Err(format!("{found} agents were found of {agents}").into());
                }
            }
        }
        Job::Put { name, bytes } => {
            let content = noise(*bytes);
            started = Instant::now();
            works.put(name, content).await?;
        }
        Job::Get { name, bytes } => {
            started = Instant::now();
            let got = works.get(name).await?;
            if got != *bytes {
                return Err(format!("{got} bytes came of {bytes}").into());
            }
        }
        Job::PutFile { name, path } => {
            started = Instant::now();
            works.put_file(name, path).await?;
        }
        Job::GetFile { name, path } => {
            started = Instant::now();
            works.get_file(name, path).await?;
        }
    }
    Ok(started.elapsed().as_secs_f64())
}

fn agent(name: &str) -> Agent {
    let answer = name.to_owned();
    AgentSpec::new(name, "Tells its name.").handler(move || {
        let answer = answer.clone();
        async move { answer }
    })
}

/// Bytes that do not repeat.
pub(crate) fn noise(bytes: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = Vec::with_capacity(bytes + size_of::<u64>());
    while noise.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    noise.truncate(bytes);
    noise.into()
}

/// The most memory that this process has had at once, where the system tells.
fn peak_kibibytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// This SDK, used as its users use it.
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

impl Works for Ours {
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

/// The bare client, with buckets of its own.
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
            bucket: "raw-files".to_owned(),
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

impl Works for Raw {
    /// The least that lists and serves them: a subscription and a document for each, and one list.
    async fn register(&self, agents: Vec<Agent>) -> Result<()> {
        const AT_ONCE: usize = 64;
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
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        self.catalog.put("catalog", json(&entries)?).await?;
        Ok(())
    }

    async fn connect_again(&self) -> Result<()> {
        async_nats::connect(&self.url).await?;
        Ok(())
    }

    /// One key, whose text is not read.
    async fn connect_and_look(&self) -> Result<Option<usize>> {
        let jetstream = jetstream::new(async_nats::connect(&self.url).await?);
        let store = jetstream.get_key_value(CATALOG).await?;
        let catalog = store.get(CATALOG_KEY).await?;
        catalog.ok_or("there is no catalog")?;
        Ok(None)
    }

    async fn catalog(&self, _channel: &str) -> Result<usize> {
        Err("the bare client knows no catalog".into())
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
