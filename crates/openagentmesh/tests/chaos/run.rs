//! The run.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use openagentmesh::AgentMesh;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::agents::{LAST, NUMBER, PUBLISHERS};
use crate::caller::{CALLERS, Caller};
use crate::end_state::{empty_problem, serving_problem, settles};
use crate::hosts::Host;
use crate::ledger::Ledger;
use crate::schedule::{HOSTS, Schedule};
use crate::server::Server;
use crate::starvation::Starvation;
use crate::support::{eventually, within};

/// The seed of CI: always the same one, so that a change is judged by the change.
const SEED: u64 = 1;
const SECONDS: u64 = 40;
/// The limit of a run beyond its duration.
const RUN_TIMEOUT: Duration = Duration::from_secs(300);

fn seed() -> u64 {
    match std::env::var("OAM_SEED").as_deref() {
        Ok("random") => rand::random_range(0..1_000_000),
        Ok(seed) => seed.parse().expect("OAM_SEED is a number, or random"),
        Err(_) => SEED,
    }
}

fn duration() -> Duration {
    let seconds = std::env::var("OAM_CHAOS_SECONDS");
    let seconds = seconds.map_or(SECONDS, |text| text.parse().unwrap());
    Duration::from_secs(seconds)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mesh_under_chaos_loses_no_request_and_repeats_none() {
    let (seed, duration) = (seed(), duration());
    eprintln!("OAM_SEED={seed}");
    let run = run(seed, duration);
    let ended = tokio::time::timeout(duration + RUN_TIMEOUT, run).await;
    ended.unwrap_or_else(|_| panic!("timeout, OAM_SEED={seed}"));
}

async fn run(seed: u64, duration: Duration) {
    let directory = TempDir::new().unwrap();
    let kept = std::env::var_os("OAM_CHAOS_LOGS").map(PathBuf::from);
    let logs = kept.unwrap_or_else(|| directory.path().join("logs"));
    let runs = directory.path().join("runs");
    for directory in [&logs, &runs] {
        std::fs::create_dir_all(directory).unwrap();
    }
    let ledger = Arc::new(Ledger::new());
    let schedule = Schedule::new(seed, duration);
    let mut server = Server::start(directory.path()).await;
    let url = server.url();
    let connected = || async {
        try_join_all((0..CALLERS).map(|_| AgentMesh::connect(&url)))
            .await
            .ok()
    };
    let meshes = eventually(connected).await;
    let host = |index| {
        Host::new(
            index,
            url.clone(),
            runs.clone(),
            logs.clone(),
            ledger.clone(),
        )
    };
    let hosts: Vec<Host> = (0..HOSTS).map(host).collect();
    let ready = settles(|| serving_problem(&url, &meshes, &hosts)).await;
    ledger.note(format_args!(
        "all hosts are ready after {:?}",
        ready.unwrap()
    ));

    let starvation = Starvation::start();
    let stop = CancellationToken::new();
    let caller = |(mesh, index): (&AgentMesh, u64)| Caller {
        mesh: mesh.clone(),
        index,
        ledger: ledger.clone(),
        starvation: starvation.clone(),
    };
    let callers: Vec<Caller> = meshes.iter().zip(0..).map(caller).collect();
    let mut events = Vec::new();
    for caller in &callers {
        events.push(tokio::spawn(caller.clone().publish(stop.clone())));
        events.push(tokio::spawn(caller.clone().follow_notes(stop.clone())));
        for name in PUBLISHERS {
            events.push(tokio::spawn(caller.clone().follow(name, stop.clone())));
        }
    }
    let load = callers
        .iter()
        .map(|caller| tokio::spawn(caller.clone().run(seed, duration)));
    let load: Vec<_> = load.collect();
    let start = tokio::time::Instant::now();
    let disturbed = hosts.into_iter().zip(schedule.hosts);
    let disturbed = disturbed.map(|(host, schedule)| tokio::spawn(host.disturb(schedule, start)));
    let disturbed: Vec<_> = disturbed.collect();
    let mut store_began = std::time::Instant::now();
    for outage in &schedule.outages {
        tokio::time::sleep_until(start + outage.at).await;
        server.check();
        ledger.note(format_args!("server: {outage:?}"));
        server.restart(outage).await;
        ledger.note("server is started");
        if !outage.keeps_store {
            store_began = std::time::Instant::now();
        }
    }
    let mut hosts = Vec::new();
    for disturbed in disturbed {
        hosts.push(disturbed.await.unwrap());
    }
    let mut not_sent = 0;
    for load in load {
        not_sent += load.await.unwrap();
    }
    ledger.note("all requests have ended");
    let settled = settles(|| serving_problem(&url, &meshes, &hosts)).await;
    match settled {
        Ok(took) => ledger.note(format_args!("the stored state is exact after {took:?}")),
        Err(problem) => ledger.violation(problem),
    }
    server.check();
    hosts.iter_mut().for_each(Host::check);
    check_agents(&ledger, &meshes).await;
    check_writes(&ledger, &meshes[0], store_began).await;
    stop.cancel();
    within(join_all(events)).await;
    for host in &mut hosts {
        host.stop().await;
    }
    if let Err(problem) = settles(|| empty_problem(&url, &meshes)).await {
        ledger.violation(format_args!("after the end of all hosts: {problem}"));
    }
    for mesh in &meshes {
        within(mesh.shutdown()).await.unwrap();
    }
    // Its files are removed with the directory.
    server.end("-TERM").await;
    ledger.check_runs(&runs);
    check_panics(&ledger, &logs);
    let (succeeded, all) = ledger.report();
    let rate = all as f64 / duration.as_secs_f64();
    eprintln!(
        "OAM_SEED={seed}: {all} outcomes, {rate:.0} a second, {succeeded} of them successful; {not_sent} requests not \
         sent; {:?} without a processor",
        starvation.total()
    );
    ledger.assert_clean();
    assert!(succeeded > all / 2, "{succeeded} of {all} succeeded");
}

/// Each agent answers.
async fn check_agents(ledger: &Ledger, meshes: &[AgentMesh]) {
    for mesh in meshes {
        let limit = Duration::from_secs(20);
        let doubled = mesh.call::<u64>("double", 4).timeout(limit);
        let doubled = doubled.header(NUMBER, LAST).await;
        let squared = mesh.call::<u64>("square", 4).timeout(limit);
        let squared = squared.header(NUMBER, LAST).await;
        let stamp = mesh.call::<Option<u64>>("stamp", ()).timeout(limit);
        let stamp = stamp.header(NUMBER, LAST).await;
        if !matches!((&doubled, &squared, &stamp), (Ok(8), Ok(16), Ok(None))) {
            ledger.violation(format_args!(
                "at the end: {doubled:?}, {squared:?}, {stamp:?}"
            ));
        }
        for name in PUBLISHERS {
            let event = async {
                let mut events = mesh
                    .subscribe::<serde_json::Value>(name)
                    .timeout(limit)
                    .await?;
                events.next().await.transpose()
            };
            if !matches!(event.await, Ok(Some(_))) {
                ledger.violation(format_args!("at the end, {name} publishes no event"));
            }
        }
    }
}

/// The acknowledged writes since the store began have their values.
async fn check_writes(ledger: &Ledger, mesh: &AgentMesh, since: std::time::Instant) {
    let stored = within(mesh.kv().keys("chaos.>")).await.unwrap();
    let stored: std::collections::HashSet<_> = stored.into_iter().collect();
    let written = ledger.written_since(since);
    ledger.note(format_args!("{} acknowledged writes", written.len()));
    for key in written {
        if !stored.contains(&key) {
            ledger.violation(format_args!("the acknowledged write of {key} is lost"));
        }
    }
}

fn check_panics(ledger: &Ledger, logs: &std::path::Path) {
    for file in std::fs::read_dir(logs).unwrap() {
        let path = file.unwrap().path();
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        for line in text.lines().filter(|line| line.contains("panicked")) {
            ledger.violation(format_args!("{}: {line}", path.display()));
        }
    }
}
