//! Many agents: registering them, finding them.

use std::collections::HashSet;
use std::time::Instant;

use futures::future::try_join_all;
use openagentmesh_local::LocalServer;
use serde::Deserialize;

use super::measured::{JOB_TIMEOUT, Measured, Size};
use super::populated::{SMALL_CHANNEL, SMALL_CHANNEL_AGENTS, names};
use super::runner::Runner;
use crate::error::Result;
use crate::measure::{Contender, Done, Job};
use crate::programs::{self, Program};
use crate::traffic::{Meter, Traffic};

/// The output of the allocation counter.
#[derive(Deserialize)]
struct Allocations {
    few: u64,
    none: u64,
}

impl Runner {
    /// Many agents of one process, on an empty mesh.
    pub(super) async fn register(&self, contender: Contender, agents: u32) -> Result<Measured> {
        let server = LocalServer::start().await?;
        let mut worker = self.worker(contender, server.url()).await?;
        let names = names("bench", agents);
        let job = Job::Register {
            names: names.clone(),
        };
        let done: Done = worker.ask(&job, JOB_TIMEOUT).await?;
        if contender != Contender::Raw {
            let missing = missing(&server, &names).await?;
            if missing > 0 {
                let gave_up = done.gave_up.unwrap_or_default();
                return Err(format!("{missing} agents are not listed {gave_up}").into());
            }
        }
        worker.end(JOB_TIMEOUT).await?;
        server.stop().await?;
        Ok(Measured::new(agents, [done.seconds * 1e3]))
    }

    /// As many agents, shared by processes that register at the same time.
    pub(super) async fn register_together(
        &self,
        contender: Contender,
        agents: u32,
        processes: u32,
    ) -> Result<Measured> {
        let server = LocalServer::start().await?;
        let workers = (0..processes).map(|_| self.worker(contender, server.url()));
        let mut workers = try_join_all(workers).await?;
        let shares: Vec<Vec<String>> = (0..processes)
            .map(|process| names(&format!("bench-{process}"), (agents + process) / processes))
            .collect();
        let started = Instant::now();
        let together = workers.iter_mut().zip(&shares).map(|(worker, names)| {
            let names = names.clone();
            async move {
                worker
                    .ask::<Done>(&Job::Register { names }, JOB_TIMEOUT)
                    .await
            }
        });
        try_join_all(together).await?;
        let seconds = started.elapsed().as_secs_f64();
        let missing = missing(&server, &shares.concat()).await?;
        if contender.is_this_sdk() && missing > 0 {
            return Err(format!("{missing} agents are not listed").into());
        }
        for worker in workers {
            worker.end(JOB_TIMEOUT).await?;
        }
        server.stop().await?;
        Ok(Measured::new(agents, [seconds * 1e3, f64::from(missing)]))
    }

    /// One agent, and then a second one of the same process, on a mesh of many agents.
    pub(super) async fn register_one_more(
        &mut self,
        contender: Contender,
        agents: u32,
        round: u32,
    ) -> Result<Measured> {
        let server = self.populated(agents).await?;
        let (meter, url) = (Meter::connect(server).await?, server.url().to_owned());
        let others = meter.read().await?;
        let mut worker = self.worker(contender, &url).await?;
        let connections = meter.read().await?;
        let new: Vec<&u64> = connections
            .keys()
            .filter(|connection| !others.contains_key(connection))
            .collect();
        let [&connection] = new[..] else {
            return Err(format!("{} new connections instead of one", new.len()).into());
        };
        let kibibytes = |bytes: u64| bytes as f64 / 1024.0;
        let joined = meter.settled(connection).await?;
        let mut values = vec![kibibytes(joined.bytes_received)];
        for index in 0..2 {
            let before = meter.settled(connection).await?;
            let names = vec![format!("more.{contender:?}-{round}-{index}")];
            let done: Done = worker.ask(&Job::Register { names }, JOB_TIMEOUT).await?;
            if let Some(reason) = done.gave_up {
                return Err(reason.into());
            }
            let Traffic {
                messages_sent,
                bytes_sent,
                bytes_received,
            } = meter.settled(connection).await?.since(before);
            values.extend([
                done.seconds * 1e3,
                kibibytes(bytes_sent),
                kibibytes(bytes_received),
                messages_sent as f64,
            ]);
        }
        worker.end(JOB_TIMEOUT).await?;
        Ok(Measured::new(1, values))
    }

    /// Connects repeatedly, without and with fetching the catalog.
    pub(super) async fn connect(&mut self, contender: Contender, agents: u32) -> Result<Measured> {
        let url = self.populated(agents).await?.url().to_owned();
        let times = match self.size {
            Size::Tiny => 1,
            Size::Quick | Size::Full => 11,
        };
        let mut worker = self.worker(contender, &url).await?;
        let mut medians = Vec::new();
        for job in [Job::Connect, Job::ConnectAndLook { agents }] {
            let mut seconds = Vec::new();
            for _ in 0..times {
                seconds.push(worker.ask::<Done>(&job, JOB_TIMEOUT).await?.seconds);
            }
            seconds.sort_by(f64::total_cmp);
            medians.push(seconds[times / 2] * 1e3);
        }
        worker.end(JOB_TIMEOUT).await?;
        Ok(Measured::new(agents, medians))
    }

    /// Queries a small channel.
    pub(super) async fn catalog(&mut self, contender: Contender, agents: u32) -> Result<Measured> {
        let url = self.populated(agents).await?.url().to_owned();
        let mut worker = self.worker(contender, &url).await?;
        let times = self.size.messages(2_000);
        let job = Job::Catalog {
            channel: SMALL_CHANNEL.to_owned(),
            agents: SMALL_CHANNEL_AGENTS,
            times,
        };
        let done: Done = worker.ask(&job, JOB_TIMEOUT).await?;
        worker.end(JOB_TIMEOUT).await?;
        let each = done.seconds / f64::from(times);
        Ok(Measured::new(times, [each * 1e6]))
    }

    /// Counts the allocations of that query, in a separate program: counting takes time.
    pub(super) async fn catalog_allocations(
        &mut self,
        contender: Contender,
        agents: u32,
    ) -> Result<Measured> {
        let url = self.populated(agents).await?.url().to_owned();
        let program = self.programs.path(Program::Allocations, contender);
        let output = programs::output(&program.await?, &[&url, SMALL_CHANNEL]).await?;
        let Allocations { few, none } = serde_json::from_slice(&output)?;
        Ok(Measured::new(
            SMALL_CHANNEL_AGENTS,
            [few as f64, none as f64],
        ))
    }
}

/// The number of `names` that the catalog does not list.
async fn missing(server: &LocalServer, names: &[String]) -> Result<u32> {
    #[derive(Deserialize)]
    struct Entry {
        name: String,
    }
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await?);
    let store = jetstream.get_key_value("mesh-catalog").await?;
    let catalog = store
        .get("catalog")
        .await?
        .ok_or("the bucket has no catalog")?;
    let entries: Vec<Entry> = serde_json::from_slice(&catalog)?;
    let listed: HashSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let missing = names.iter().filter(|name| !listed.contains(name.as_str()));
    Ok(u32::try_from(missing.count())?)
}
