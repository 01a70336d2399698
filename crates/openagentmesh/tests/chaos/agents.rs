//! The host process: four agents of each host, all shapes among them.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::{Stream, StreamExt, stream};
use openagentmesh::{Agent, AgentMesh, AgentSpec, Context};
use serde::{Deserialize, Serialize};

use crate::schedule::HOSTS;
use crate::support::role::is_role;

/// The index of the host, for the role process.
pub(crate) const INDEX_VARIABLE: &str = "OAM_CHAOS_HOST";
/// The file to which the role process appends a line for each request that it begins.
pub(crate) const RUNS_VARIABLE: &str = "OAM_CHAOS_RUNS";

/// The beginning of the line in the log of a host process that has its instance id.
pub(crate) const INSTANCE: &str = "instance ";

/// The header with the number of a request, which all its attempts share.
pub(crate) const NUMBER: &str = "Chaos-Number";
/// The number of the requests at the end of the run, which are not checked one by one.
pub(crate) const LAST: &str = "last";
/// The subject of the events that callers and the watcher publish.
pub(crate) const NOTES: &str = "chaos.notes";

/// The agents of each host.
pub(crate) const AGENTS: [[&str; 4]; HOSTS] = [
    ["count", "double", "pulse-0", "square"],
    ["count", "double", "square", "watch"],
    ["count", "double", "pulse-2", "stamp"],
];
pub(crate) const PUBLISHERS: [&str; 2] = ["pulse-0", "pulse-2"];

/// An event, numbered by its source.
#[derive(Debug, Serialize, Deserialize, openagentmesh::schemars::JsonSchema)]
pub(crate) struct Note {
    pub(crate) source: String,
    pub(crate) number: u64,
}

/// The time that the handler of request `number` takes. A few requests take long, so that some are running whenever
/// their host is killed.
fn work(number: u64) -> Duration {
    Duration::from_millis(match number % 40 {
        0 => 1500,
        other => other % 10,
    })
}

/// The number of chunks of stream `number`.
pub(crate) const fn chunks(number: u64) -> u64 {
    1 + number % 100
}

/// The log of the requests that this process has begun. A line that was written stays when the process is killed.
#[derive(Clone)]
struct Runs(Arc<File>);

impl Runs {
    fn open(path: impl AsRef<Path>) -> Self {
        let file = OpenOptions::new().append(true).create(true).open(path);
        Self(Arc::new(file.unwrap()))
    }

    fn add(&self, context: &Context) {
        let number = context.header(NUMBER).unwrap_or("-");
        let line = format!("{number} {} {}\n", context.request_id(), unix_ms());
        // One write, which the kernel appends as a whole.
        (&*self.0).write_all(line.as_bytes()).unwrap();
    }
}

/// The milliseconds since 1970.
pub(crate) fn unix_ms() -> u128 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_millis()
}

fn agents(index: usize, runs: &Runs) -> Vec<Agent> {
    let names = AGENTS[index].iter();
    names.map(|name| agent(name, runs.clone())).collect()
}

fn agent(name: &str, runs: Runs) -> Agent {
    let spec = AgentSpec::new(name, "An agent under chaos.").concurrency(512);
    match name {
        "double" => spec.handler(move |context: Context, number: u64| {
            runs.add(&context);
            async move {
                tokio::time::sleep(work(number)).await;
                number * 2
            }
        }),
        "square" => spec
            .idempotent()
            .handler(move |context: Context, number: u64| {
                runs.add(&context);
                async move {
                    tokio::time::sleep(work(number)).await;
                    number * number
                }
            }),
        "stamp" => spec.handler(move |context: Context| {
            runs.add(&context);
            async move {
                let number = context.header(NUMBER).and_then(|text| text.parse().ok());
                tokio::time::sleep(work(number.unwrap_or(1))).await;
                number
            }
        }),
        "count" => spec.handler(move |context: Context, number: u64| {
            runs.add(&context);
            counted(number)
        }),
        "watch" => spec.watcher(watch),
        _ => spec.handler(|context: Context| pulse(context.mesh().instance_id().to_string())),
    }
}

fn counted(number: u64) -> impl Stream<Item = u64> {
    let pause = Duration::from_millis(number % 8);
    stream::iter(0..chunks(number)).then(move |chunk| async move {
        tokio::time::sleep(pause).await;
        chunk
    })
}

fn pulse(source: String) -> impl Stream<Item = Note> {
    stream::iter(0..).then(move |number| {
        let source = source.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Note { source, number }
        }
    })
}

/// Publishes a note every 20 ms.
async fn watch(context: Context) {
    let mesh = context.mesh();
    let source = format!("{}-{}", mesh.instance_id(), context.request_id());
    let mut number = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let source = source.clone();
        let note = Note { source, number };
        let published = mesh.publish(NOTES, note).timeout(Duration::from_secs(2));
        number += u64::from(published.await.is_ok());
    }
}

/// Serves the agents of one host until `SIGTERM`, or until the test has ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "role process of another test"]
async fn host() {
    if !is_role() {
        return;
    }
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    std::thread::spawn(|| {
        // The other end of the pipe belongs to the test.
        let _ = std::io::stdin().read_line(&mut String::new());
        std::process::exit(0);
    });
    let index: usize = std::env::var(INDEX_VARIABLE).unwrap().parse().unwrap();
    let runs = Runs::open(std::env::var_os(RUNS_VARIABLE).unwrap());
    let mesh = loop {
        // The server may be down.
        match AgentMesh::from_env().await {
            Ok(mesh) => break mesh,
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    eprintln!("{INSTANCE}{}", mesh.instance_id());
    while let Err(error) = mesh.register(agents(index, &runs)).await {
        eprintln!("registration failed: {error}");
    }
    if let Err(error) = mesh.run().await {
        // The server may be down.
        eprintln!("shutdown failed: {error}");
    }
}
