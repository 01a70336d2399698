//! A mesh for a test.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::kv::Config;
use openagentmesh_conform::{Mesh, Outcome, Report, Settings};
use openagentmesh_local::LocalServer;

/// The buckets that the kit uses.
const BUCKETS: [&str; 3] = ["mesh-catalog", "mesh-registry", "mesh-instances"];

/// Waits that suit a machine under load.
pub(crate) const SETTINGS: Settings = Settings {
    answer_timeout: Duration::from_secs(5),
    quiet_time: Duration::from_millis(400),
};

/// A server with the buckets of a mesh.
pub(crate) struct TestMesh {
    pub(crate) server: LocalServer,
    pub(crate) mesh: Mesh,
}

impl TestMesh {
    pub(crate) async fn start() -> Self {
        let server = LocalServer::start().await.unwrap();
        let jetstream = jetstream::new(async_nats::connect(server.url()).await.unwrap());
        for bucket in BUCKETS {
            let config = Config {
                bucket: bucket.to_owned(),
                ..Config::default()
            };
            jetstream.create_key_value(config).await.unwrap();
        }
        let mesh = Mesh::connect(server.url(), None).await.unwrap();
        Self { server, mesh }
    }

    pub(crate) async fn nats(&self) -> async_nats::Client {
        async_nats::connect(self.server.url()).await.unwrap()
    }
}

/// Checks whose verdicts depend on pauses are repeated: a machine under load stretches single ones.
const ATTEMPTS: usize = 3;

/// The report of the first check in which just the rules `expected` failed, otherwise of the last one.
pub(crate) async fn report_with(expected: &[&str], check: impl AsyncFn(usize) -> Report) -> Report {
    for attempt in 1..ATTEMPTS {
        let report = check(attempt).await;
        let mut failed: Vec<&str> = failures(&report).iter().map(|(id, _)| *id).collect();
        failed.sort_unstable();
        if failed == expected {
            return report;
        }
        println!(
            "attempt {attempt}: {expected:?} expected, {:#?}",
            failures(&report)
        );
    }
    check(ATTEMPTS).await
}

/// The ids of the rules that failed, each with its reason.
pub(crate) fn failures(report: &Report) -> Vec<(&'static str, String)> {
    let failed = |judged: &openagentmesh_conform::Judged| match &judged.outcome {
        Outcome::Failed(reason) => Some((judged.rule.id, reason.clone())),
        _ => None,
    };
    report.judged().iter().filter_map(failed).collect()
}

/// The ids of the rules that were skipped, each with its reason.
pub(crate) fn skips(report: &Report) -> Vec<(&'static str, String)> {
    let skipped = |judged: &openagentmesh_conform::Judged| match &judged.outcome {
        Outcome::Skipped(reason) => Some((judged.rule.id, reason.clone())),
        _ => None,
    };
    report.judged().iter().filter_map(skipped).collect()
}
