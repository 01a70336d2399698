//! The process that registers agents, follows the catalog, reads streams, transfers files and measures.

mod ours;
mod raw;

use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use openagentmesh::{Agent, AgentSpec};
use tokio::sync::mpsc;

use super::body::noise;
use super::role::READY;
use super::stdio::answer;
use crate::error::Result;
use crate::measure::{Done, Job};

pub(super) use ours::Ours;
pub(super) use raw::Raw;

/// Connections that are opened at the same time.
const CONCURRENT_CONNECTS: usize = 16;

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
    /// Opens connections that follow the catalog, each after a first use of it.
    async fn follow(&self, connections: u32) -> Result<()>;
    /// Waits until each of these connections lists `agent`.
    async fn know(&self, agent: &str) -> Result<()>;
    /// Opens a stream of `chunks` medium chunks, and takes the first one.
    async fn open_stream(&self, chunks: u32) -> Result<()>;
    /// Reads that stream to its end.
    async fn read_stream(&self) -> Result<()>;
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
        Job::Follow { connections } => {
            started = Instant::now();
            operations.follow(*connections).await?;
        }
        Job::Know { agent } => {
            started = Instant::now();
            operations.know(agent).await?;
        }
        Job::OpenStream { chunks } => {
            started = Instant::now();
            operations.open_stream(*chunks).await?;
        }
        Job::ReadStream => {
            started = Instant::now();
            operations.read_stream().await?;
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
