//! Many agents: registering them, finding them.

use std::collections::HashSet;
use std::time::Instant;

use futures::future::try_join_all;
use openagentmesh_local::LocalServer;
use serde::Deserialize;

use super::crowd::{CHANNEL, FEW, names};
use super::stage::DEADLINE;
use super::{Measured, Size, Stage};
use crate::Result;
use crate::measure::{Contender, Done, Job};
use crate::programs::{self, Program};
use crate::traffic::{Meter, Traffic};

/// How many allocations there are, as the program says that counts them.
#[derive(Deserialize)]
struct Allocations {
    few: u64,
    none: u64,
}

impl Stage {
    /// Many agents of one process, on a mesh of their own.
    pub(super) async fn register(&self, contender: Contender, agents: u32) -> Result<Measured> {
        let server = LocalServer::start().await?;
        let mut worker = self.worker(contender, server.url()).await?;
        let names = names("bench", agents);
        let job = Job::Register {
            names: names.clone(),
        };
        let done: Done = worker.ask(&job, DEADLINE).await?;
        if contender != Contender::Raw {
            let missing = missing(&server, &names).await?;
            if missing > 0 {
                let gave_up = done.gave_up.unwrap_or_default();
                return Err(format!("{missing} agents are not listed {gave_up}").into());
            }
        }
        worker.end(DEADLINE).await?;
        server.stop().await?;
        Ok(Measured::new(agents, [done.seconds * 1e3]))
    }

    /// As many agents, shared by processes that all register at the same time.
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
            async move { worker.ask::<Done>(&Job::Register { names }, DEADLINE).await }
        });
        try_join_all(together).await?;
        let seconds = started.elapsed().as_secs_f64();
        let missing = missing(&server, &shares.concat()).await?;
        if contender == Contender::Ours && missing > 0 {
            return Err(format!("{missing} agents are not listed").into());
        }
        for worker in workers {
            worker.end(DEADLINE).await?;
        }
        server.stop().await?;
        Ok(Measured::new(agents, [seconds * 1e3, f64::from(missing)]))
    }

    /// One agent, and then another of the same process, on a mesh that has many.
    pub(super) async fn register_one_more(
        &mut self,
        contender: Contender,
        crowd: u32,
        round: u32,
    ) -> Result<Measured> {
        self.crowd(crowd).await?;
        let server = &self.crowds[&crowd].server;
        let meter = Meter::connect(server).await?;
        let others = meter.read().await?;
        let mut worker = self.worker(contender, server.url()).await?;
        let connections = meter.read().await?;
        let new: Vec<&u64> = connections
            .keys()
            .filter(|connection| !others.contains_key(connection))
            .collect();
        let [&connection] = new[..] else {
            return Err(format!("a worker has {} connections", new.len()).into());
        };
        let kibibytes = |bytes: u64| bytes as f64 / 1024.0;
        let joined = meter.settled(connection).await?;
        let mut values = vec![kibibytes(joined.bytes_received)];
        for index in 0..2 {
            let before = meter.settled(connection).await?;
            let names = vec![format!("more.{contender:?}-{round}-{index}")];
            let done: Done = worker.ask(&Job::Register { names }, DEADLINE).await?;
            if let Some(why) = done.gave_up {
                return Err(why.into());
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
        worker.end(DEADLINE).await?;
        Ok(Measured::new(1, values))
    }

    /// Connects many times, and as often connects and looks who is there.
    pub(super) async fn connect(&mut self, contender: Contender, crowd: u32) -> Result<Measured> {
        self.crowd(crowd).await?;
        let url = self.crowds[&crowd].server.url();
        let times = match self.size {
            Size::Tiny => 1,
            Size::Quick | Size::Full => 11,
        };
        let mut worker = self.worker(contender, url).await?;
        let mut medians = Vec::new();
        for job in [Job::Connect, Job::ConnectAndLook { agents: crowd }] {
            let mut seconds = Vec::new();
            for _ in 0..times {
                seconds.push(worker.ask::<Done>(&job, DEADLINE).await?.seconds);
            }
            seconds.sort_by(f64::total_cmp);
            medians.push(seconds[times / 2] * 1e3);
        }
        worker.end(DEADLINE).await?;
        Ok(Measured::new(crowd, medians))
    }

    /// How long it takes to be told of a few.
    pub(super) async fn catalog(&mut self, contender: Contender, crowd: u32) -> Result<Measured> {
        self.crowd(crowd).await?;
        let url = self.crowds[&crowd].server.url();
        let mut worker = self.worker(contender, url).await?;
        let times = self.size.messages(2_000);
        let job = Job::Catalog {
            channel: CHANNEL.to_owned(),
            agents: FEW,
            times,
        };
        let done: Done = worker.ask(&job, DEADLINE).await?;
        worker.end(DEADLINE).await?;
        let each = done.seconds / f64::from(times);
        Ok(Measured::new(times, [each * 1e6]))
    }

    /// The same in a program of its own, because counting takes time.
    pub(super) async fn catalog_allocations(&mut self, crowd: u32) -> Result<Measured> {
        self.crowd(crowd).await?;
        let url = self.crowds[&crowd].server.url();
        let program = programs::built(Program::Allocations).await?;
        let said = programs::output(&program, &[url, CHANNEL]).await?;
        let Allocations { few, none } = serde_json::from_slice(&said)?;
        Ok(Measured::new(FEW, [few as f64, none as f64]))
    }
}

/// How many of `names` the catalog does not list.
async fn missing(server: &LocalServer, names: &[String]) -> Result<u32> {
    #[derive(Deserialize)]
    struct Entry {
        name: String,
    }
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await?);
    let store = jetstream.get_key_value("mesh-catalog").await?;
    let catalog = store.get("catalog").await?.ok_or("there is no catalog")?;
    let entries: Vec<Entry> = serde_json::from_slice(&catalog)?;
    let listed: HashSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let missing = names.iter().filter(|name| !listed.contains(name.as_str()));
    Ok(u32::try_from(missing.count())?)
}
