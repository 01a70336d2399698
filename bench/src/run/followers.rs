//! The traffic of processes that follow the catalog while others register agents.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use openagentmesh_local::LocalServer;

use super::measured::{JOB_TIMEOUT, Measured, Size};
use super::populated::names;
use super::runner::Runner;
use crate::error::Result;
use crate::measure::{Contender, Done, Job};
use crate::roles::Peer;
use crate::traffic::Meter;

/// The processes that share the connections of many followers, so that each needs a few hundred descriptors.
const FOLLOWER_PROCESSES: u32 = 4;
/// The plain watches of the bare client, whose traffic is multiplied: it is the same for each of them. A thousand would
/// receive 60 GiB.
const PLAIN_WATCHES: u32 = 10;
/// Registrations between two waits for the traffic to end. Without the waits, the server would buffer whole catalogs
/// for each follower, as fast as agents are registered.
const REGISTRATIONS_AT_ONCE: usize = 20;
/// A pause in which followers receive hardly anything.
const PAUSE: Duration = Duration::from_millis(50);
/// The wait for what reaches followers later than an agent is registered.
const DELAYED: Duration = Duration::from_secs(2);

impl Runner {
    /// The bytes that a follower of a large catalog receives when one agent is registered.
    pub(super) async fn follow_one_more(
        &mut self,
        contender: Contender,
        agents: u32,
        round: u32,
    ) -> Result<Measured> {
        let server = self.populated(agents).await?;
        let (meter, url) = (Meter::connect(server).await?, server.url().to_owned());
        let mut registrar = self.worker(registrar(contender), &url).await?;
        let others = meter.read().await?;
        let mut follower = self.worker(contender, &url).await?;
        let idle = meter.opened_since(&others).await?;
        follow(&mut follower, 1).await?;
        let mut connections = meter.opened_since(&others).await?;
        // The Python SDK follows on the connection of its worker.
        if connections.len() > idle.len() {
            connections.retain(|connection| !idle.contains(connection));
        }
        let delayed = self.delayed();
        let before = meter.received(&connections, delayed).await?;
        let name = format!("followed.{contender:?}-{round}");
        register(&mut registrar, name).await?;
        let after = meter.received(&connections, delayed).await?;
        follower.end(JOB_TIMEOUT).await?;
        registrar.end(JOB_TIMEOUT).await?;
        Ok(Measured::new(1, [(after - before) as f64 / 1024.0]))
    }

    /// The bytes that many followers receive while agents are registered one by one, and the time until all of them,
    /// asked at the same time, know the last one.
    pub(super) async fn follow_many(
        &self,
        contender: Contender,
        followers: u32,
        registrations: u32,
    ) -> Result<Measured> {
        let server = LocalServer::start().await?;
        let meter = Meter::connect(&server).await?;
        let mut registrar = self.worker(registrar(contender), server.url()).await?;
        // The first agent creates the buckets.
        register(&mut registrar, "first.agent".to_owned()).await?;
        let others = meter.read().await?;
        let (opened, processes) = match contender {
            Contender::Raw => (followers.min(PLAIN_WATCHES), 1),
            _ => (followers, FOLLOWER_PROCESSES.min(followers)),
        };
        let started = (0..processes).map(|_| self.worker(contender, server.url()));
        let mut workers = try_join_all(started).await?;
        let idle = meter.opened_since(&others).await?;
        let shares = workers.iter_mut().zip(0..);
        let following = shares
            .map(|(worker, process): (_, u32)| follow(worker, (opened + process) / processes));
        try_join_all(following).await?;
        let mut connections = meter.opened_since(&others).await?;
        // The workers' own connections do not follow.
        connections.retain(|connection| !idle.contains(connection));
        if connections.len() != opened as usize {
            let connected = connections.len();
            return Err(format!("{connected} of {opened} followers are connected").into());
        }
        let received = self
            .register_one_by_one(&meter, &connections, &mut registrar, registrations)
            .await?;
        // What one plain watch receives, the others receive as well.
        let scale = f64::from(followers) / f64::from(opened);
        let mut values = vec![received as f64 * scale / f64::from(1 << 20)];
        if contender != Contender::Raw {
            let last = Job::Know {
                agent: names("one-by-one", registrations).pop().unwrap_or_default(),
            };
            let started = Instant::now();
            let known = workers
                .iter_mut()
                .map(|worker| worker.ask::<Done>(&last, JOB_TIMEOUT));
            try_join_all(known).await?;
            values.push(started.elapsed().as_secs_f64() * 1e3);
        }
        for worker in workers {
            worker.end(JOB_TIMEOUT).await?;
        }
        registrar.end(JOB_TIMEOUT).await?;
        server.stop().await?;
        Ok(Measured::new(registrations, values))
    }

    /// Registers agents, and returns the bytes that `connections` have received since.
    async fn register_one_by_one(
        &self,
        meter: &Meter,
        connections: &BTreeSet<u64>,
        registrar: &mut Peer,
        registrations: u32,
    ) -> Result<u64> {
        let before = meter.received(connections, self.delayed()).await?;
        let names = names("one-by-one", registrations);
        for names in names.chunks(REGISTRATIONS_AT_ONCE) {
            for name in names {
                register(registrar, name.clone()).await?;
            }
            meter.received(connections, PAUSE).await?;
        }
        let after = meter.received(connections, self.delayed()).await?;
        Ok(after - before)
    }

    fn delayed(&self) -> Duration {
        match self.size {
            Size::Tiny => PAUSE,
            Size::Quick | Size::Full => DELAYED,
        }
    }
}

/// The contender that registers the agents which `contender` follows.
fn registrar(contender: Contender) -> Contender {
    match contender {
        Contender::Other => Contender::Other,
        _ => Contender::Ours,
    }
}

async fn follow(worker: &mut Peer, connections: u32) -> Result<()> {
    let job = Job::Follow { connections };
    worker.ask::<Done>(&job, JOB_TIMEOUT).await?;
    Ok(())
}

async fn register(worker: &mut Peer, name: String) -> Result<()> {
    let names = vec![name];
    let done: Done = worker.ask(&Job::Register { names }, JOB_TIMEOUT).await?;
    done.gave_up.map_or(Ok(()), |reason| Err(reason.into()))
}
