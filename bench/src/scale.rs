//! Where there is much of something: agents in the catalog, processes that register at once, bytes.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use openagentmesh_local::LocalServer;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::measure::Contender;
use crate::report::{Report, Series, Unit};
use crate::roles::{Peer, Role, noise};
use crate::traffic::{Meter, Traffic};

/// How long one job may take.
const DEADLINE: Duration = Duration::from_secs(600);
/// The most memory that a process may take for a file of any size, in KiB.
const PEAK: u64 = 64 * 1024;
const MEBIBYTE: usize = 1024 * 1024;

/// What the user asked for.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    pub(crate) with_python: bool,
    /// How many agents are registered.
    pub(crate) agents: u32,
    /// How many processes share them.
    pub(crate) processes: u32,
    /// How many agents there are when one more comes.
    pub(crate) crowd: u32,
    /// What is put and got, in MiB.
    pub(crate) mebibytes: u32,
    /// How large the file is that does not fit into the memory that it may take, in MiB.
    pub(crate) large: Option<u32>,
}

/// What a worker is told to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Job {
    /// Register agents that tell their names, all at once.
    Register { names: Vec<String> },
    /// Put so many bytes under a name.
    Put { name: String, bytes: usize },
    /// Get them.
    Get { name: String, bytes: usize },
    /// Put what is in a file.
    PutFile { name: String, path: PathBuf },
    /// Get it into a file.
    GetFile { name: String, path: PathBuf },
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    /// How long it took.
    pub(crate) seconds: f64,
    /// The most memory that the process has had.
    #[serde(default)]
    pub(crate) peak_kibibytes: Option<u64>,
    /// Why it was not done to its end.
    #[serde(default)]
    pub(crate) gave_up: Option<String>,
}

/// Starts servers and processes, and measures.
pub(crate) async fn run(plan: &Plan) -> Result<Report> {
    let mut contenders = vec![Contender::Ours, Contender::Raw];
    let mut python = None;
    if plan.with_python {
        contenders.push(Contender::Python);
        python = Some(Peer::python_interpreter().await?);
    }
    let crowd = Crowd::gather(plan.crowd).await?;
    let nats_server = crowd.server.binary().version().to_string();
    let setting = format!("{} MiB at once", plan.mebibytes);
    let references = &[Contender::Raw, Contender::Python];
    let mut run = Run {
        plan,
        python,
        report: Report::new(plan.rounds, nats_server, setting, references),
    };
    for round in 1..=plan.rounds {
        eprintln!("round {round} of {}", plan.rounds);
        for &contender in &contenders {
            run.register(contender).await?;
        }
        for &contender in &contenders {
            run.register_together(contender).await?;
        }
        for &contender in &contenders {
            run.register_one_more(contender, &crowd, round).await?;
        }
        for &contender in &contenders {
            run.move_content(contender).await?;
        }
        // Each takes its turn in being the first.
        contenders.rotate_left(1);
    }
    crowd.part().await?;
    if let Some(mebibytes) = plan.large {
        run.move_large_files(mebibytes).await?;
    }
    Ok(run.report)
}

/// A mesh with many agents, all of one process.
struct Crowd {
    server: LocalServer,
    host: Peer,
}

impl Crowd {
    async fn gather(agents: u32) -> Result<Self> {
        eprintln!("gathering {agents} agents");
        let server = LocalServer::start().await?;
        let mut host = Peer::rust(Role::Worker, server.url())?;
        host.ready(DEADLINE).await?;
        let names = names("crowd", agents);
        host.ask::<Done>(&Job::Register { names }, DEADLINE).await?;
        Ok(Self { server, host })
    }

    async fn part(self) -> Result<()> {
        self.host.end(DEADLINE).await?;
        Ok(self.server.stop().await?)
    }
}

struct Run<'p> {
    plan: &'p Plan,
    python: Option<PathBuf>,
    report: Report,
}

impl Run<'_> {
    async fn worker(&self, contender: Contender, url: &str) -> Result<Peer> {
        let mut worker = match (contender, &self.python) {
            (Contender::Ours, _) => Peer::rust(Role::Worker, url),
            (Contender::Raw, _) => Peer::rust(Role::RawWorker, url),
            (Contender::Python, Some(interpreter)) => Peer::python(interpreter, Role::Worker, url),
            _ => Err(format!("{} has no worker", contender.title()).into()),
        }?;
        worker.ready(DEADLINE).await?;
        Ok(worker)
    }

    fn add(
        &mut self,
        what: impl Into<String>,
        contender: Contender,
        unit: Unit,
        count: u32,
        value: f64,
    ) {
        let series = Series::new(what, contender, unit);
        self.report.series(series).add(count, value);
    }

    /// Many agents of one process, on a mesh of their own.
    async fn register(&mut self, contender: Contender) -> Result<()> {
        let agents = self.plan.agents;
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
        let what = format!("{agents} agents");
        self.add(
            what,
            contender,
            Unit::Milliseconds,
            agents,
            done.seconds * 1e3,
        );
        Ok(())
    }

    /// As many agents, shared by processes that all register at the same time.
    async fn register_together(&mut self, contender: Contender) -> Result<()> {
        if contender == Contender::Raw {
            // One write for each process, of a list that all of them write, is no registration.
            return Ok(());
        }
        let Plan {
            agents, processes, ..
        } = *self.plan;
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

        let what = format!("{agents} by {processes} processes");
        let lost = format!("{what}: not listed");
        self.add(what, contender, Unit::Milliseconds, agents, seconds * 1e3);
        self.add(lost, contender, Unit::Count, agents, f64::from(missing));
        Ok(())
    }

    /// One agent, and then another of the same process, on a mesh that has many.
    async fn register_one_more(
        &mut self,
        contender: Contender,
        crowd: &Crowd,
        round: u32,
    ) -> Result<()> {
        if contender == Contender::Raw {
            return Ok(());
        }
        let meter = Meter::connect(&crowd.server).await?;
        let others = meter.read().await?;
        let mut worker = self.worker(contender, crowd.server.url()).await?;
        let connections = meter.read().await?;
        let new: Vec<&u64> = connections
            .keys()
            .filter(|connection| !others.contains_key(connection))
            .collect();
        let [&connection] = new[..] else {
            return Err(format!("a worker has {} connections", new.len()).into());
        };
        let present = self.plan.crowd;
        let kibibytes = |bytes: u64| bytes as f64 / 1024.0;
        let joined = meter.settled(connection).await?;
        self.add(
            format!("joining {present} has received"),
            contender,
            Unit::Kibibytes,
            1,
            kibibytes(joined.bytes_received),
        );
        for (index, which) in ["one more", "its next"].into_iter().enumerate() {
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
            let mut add = |about: &str, unit, value| {
                self.add(format!("{which} {about}"), contender, unit, 1, value);
            };
            let beside = format!("beside {present}");
            add(&beside, Unit::Milliseconds, done.seconds * 1e3);
            add("has sent", Unit::Kibibytes, kibibytes(bytes_sent));
            add("has received", Unit::Kibibytes, kibibytes(bytes_received));
            add("has sent messages", Unit::Count, messages_sent as f64);
        }
        worker.end(DEADLINE).await
    }

    /// What fits into memory: put by one process, got by another.
    async fn move_content(&mut self, contender: Contender) -> Result<()> {
        let server = LocalServer::start().await?;
        let mebibytes = self.plan.mebibytes;
        let bytes = mebibytes as usize * MEBIBYTE;
        let name = "content".to_owned();
        let put = Job::Put {
            name: name.clone(),
            bytes,
        };
        let get = Job::Get { name, bytes };
        for (verb, job) in [("put", put), ("get", get)] {
            let mut worker = self.worker(contender, server.url()).await?;
            let done: Done = worker.ask(&job, DEADLINE).await?;
            worker.end(DEADLINE).await?;
            let what = format!("{verb} {mebibytes} MiB");
            let rate = f64::from(mebibytes) / done.seconds;
            self.add(what, contender, Unit::MebibytesPerSecond, mebibytes, rate);
        }
        Ok(server.stop().await?)
    }

    /// What does not: from a file by one process, to a file by another.
    async fn move_large_files(&mut self, mebibytes: u32) -> Result<()> {
        eprintln!("{mebibytes} MiB from file to file");
        let directory = tempfile::tempdir()?;
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        write(&from, mebibytes)?;
        // The Python SDK has files only as a whole, and copies what it has with each chunk that comes.
        for contender in [Contender::Ours, Contender::Raw] {
            let server = LocalServer::start().await?;
            let name = "large".to_owned();
            let put = Job::PutFile {
                name: name.clone(),
                path: from.clone(),
            };
            let get = Job::GetFile {
                name,
                path: to.clone(),
            };
            for (verb, job) in [("from file", put), ("to file", get)] {
                let mut worker = self.worker(contender, server.url()).await?;
                let done: Done = worker.ask(&job, DEADLINE).await?;
                worker.end(DEADLINE).await?;
                let what = format!("{mebibytes} MiB {verb}");
                let rate = f64::from(mebibytes) / done.seconds;
                let memory = format!("{what}: memory");
                self.add(what, contender, Unit::MebibytesPerSecond, mebibytes, rate);
                let Some(peak) = done.peak_kibibytes else {
                    continue;
                };
                if contender == Contender::Ours && peak > PEAK {
                    return Err(format!("{verb} took {peak} KiB of memory").into());
                }
                let peak = peak as f64 / 1024.0;
                self.add(memory, contender, Unit::Mebibytes, mebibytes, peak);
            }
            if !is_same(&from, &to)? {
                return Err("another file came back".into());
            }
            std::fs::remove_file(&to)?;
            server.stop().await?;
        }
        Ok(())
    }
}

fn names(prefix: &str, count: u32) -> Vec<String> {
    (0..count)
        .map(|agent| format!("{prefix}.agent-{agent}"))
        .collect()
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

fn write(path: &Path, mebibytes: u32) -> Result<()> {
    let mut piece = noise(MEBIBYTE).to_vec();
    let mut file = std::fs::File::create(path)?;
    for index in 0..mebibytes {
        // No two of them are alike.
        piece[..4].copy_from_slice(&index.to_le_bytes());
        file.write_all(&piece)?;
    }
    Ok(file.sync_all()?)
}

fn is_same(one: &Path, other: &Path) -> Result<bool> {
    use std::io::Read;
    let (one, other) = (std::fs::File::open(one)?, std::fs::File::open(other)?);
    let length = one.metadata()?.len();
    if length != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (one, other);
    let (mut a, mut b) = (vec![0; MEBIBYTE], vec![0; MEBIBYTE]);
    for _ in 0..length / MEBIBYTE as u64 {
        one.read_exact(&mut a)?;
        other.read_exact(&mut b)?;
        if a != b {
            return Ok(false);
        }
    }
    Ok(true)
}
