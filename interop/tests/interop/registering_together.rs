//! Hosts in both languages that register at the same time, and leave.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use interop::{Peer, Sdk};
use openagentmesh::{Agent, AgentMesh, AgentSpec};
use serde_json::{Value, json};

use crate::common::{TestMesh, python_lists, python_process, within};

const RUST_HOSTS: usize = 4;
const RUST_AGENTS: usize = 10;
const PYTHON_AGENTS: usize = 5;

fn rust_names(host: usize) -> Vec<String> {
    (0..RUST_AGENTS)
        .map(|agent| format!("rust.host-{host}.agent-{agent}"))
        .collect()
}

fn python_names(host: usize) -> Vec<String> {
    // 0.1.5 identifies agents by the last segment.
    (0..PYTHON_AGENTS)
        .map(|agent| format!("python.host-{host}-agent-{agent}"))
        .collect()
}

fn named(name: &str) -> Agent {
    let answer = name.to_owned();
    AgentSpec::new(name, "Returns its name.").handler(move || {
        let answer = answer.clone();
        async move { answer }
    })
}

/// Registers in two steps, for more concurrent writes.
async fn register(mesh: &AgentMesh, host: usize) {
    let names = rust_names(host);
    let (first, second) = names.split_at(RUST_AGENTS / 2);
    for half in [first, second] {
        mesh.register(half.iter().map(|name| named(name)))
            .await
            .unwrap();
    }
}

async fn must(peer: &mut Peer, command: &str, arguments: Value) -> Value {
    // The Python SDK gives up after ten lost races and reports it in its message.
    match peer.ask(command, arguments).await {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

/// Hosts in both languages on one mesh.
struct Hosts {
    test: TestMesh,
    rust: Vec<AgentMesh>,
    python: Vec<Peer>,
}

impl Hosts {
    /// Registers on an empty mesh: the first host creates the buckets.
    async fn on_a_new_mesh() -> Self {
        let test = TestMesh::start().await;
        let mut python = join_all(Sdk::ALL.map(python_process)).await;
        for (host, peer) in python.iter_mut().enumerate() {
            must(peer, "prepare", json!({"url": test.server.url()})).await;
            must(peer, "host_many", json!({"names": python_names(host)})).await;
        }
        let rust = join_all((0..RUST_HOSTS).map(|_| test.rust_peer())).await;
        let arrive = async |_, peer: &mut Peer| must(peer, "connect", json!({})).await;
        register_all(&rust, &mut python, arrive).await;
        Self { test, rust, python }.complete().await
    }

    /// Registers after all hosts have connected, so that all write at the same time.
    async fn on_a_known_mesh() -> Self {
        let test = TestMesh::start().await;
        let mut python = join_all(Sdk::ALL.map(|sdk| test.python_peer(sdk))).await;
        let rust = join_all((0..RUST_HOSTS).map(|_| test.rust_peer())).await;
        let arrive = async |host, peer: &mut Peer| {
            must(peer, "host_many", json!({"names": python_names(host)})).await
        };
        register_all(&rust, &mut python, arrive).await;
        Self { test, rust, python }.complete().await
    }

    /// Checks that no entry is lost and that each side can call all agents.
    async fn complete(mut self) -> Self {
        let mut expected: Vec<String> = (0..RUST_HOSTS).flat_map(rust_names).collect();
        expected.extend((0..self.python.len()).flat_map(python_names));
        expected.sort_unstable();
        assert_eq!(self.test.catalog_names().await, expected);

        for name in &expected {
            let answer: String = within(self.test.mesh.call(name, ())).await.unwrap();
            assert_eq!(&answer, name);
        }
        let answers: Value = expected
            .iter()
            .map(|name| (name.clone(), json!(name)))
            .collect();
        for peer in &mut self.python {
            let called = must(peer, "call_all", json!({"names": expected})).await;
            assert_eq!(called, answers, "called by {}", peer.sdk());
        }
        self
    }

    async fn rust_leaves(&mut self) {
        let leaving = std::mem::take(&mut self.rust);
        for left in join_all(leaving.iter().map(AgentMesh::shutdown)).await {
            left.unwrap();
        }
    }

    async fn python_leaves(&mut self) {
        join_all(
            self.python
                .iter_mut()
                .map(|peer| must(peer, "leave", json!({}))),
        )
        .await;
        for peer in self.python.drain(..) {
            peer.end().await.unwrap();
        }
    }

    /// Checks that the catalog lists exactly `names` and that each agent answers.
    async fn remain(&mut self, mut names: Vec<String>) {
        names.sort_unstable();
        assert_eq!(self.test.catalog_names().await, names);
        for name in &names {
            let answer: String = within(self.test.mesh.call(name, ())).await.unwrap();
            assert_eq!(&answer, name);
        }
    }
}

/// Registers all hosts at the same time.
async fn register_all(
    rust: &[AgentMesh],
    python: &mut [Peer],
    arrive: impl AsyncFn(usize, &mut Peer) -> Value,
) {
    let hosts = rust.iter().enumerate();
    let in_rust = hosts.map(|(host, mesh)| register(mesh, host));
    let peers = python.iter_mut().enumerate();
    let in_python = peers.map(|(host, peer)| arrive(host, peer));
    within(async { tokio::join!(join_all(in_python), join_all(in_rust)) }).await;
}

interop::with_each_sdk!(hosts_in_both_languages_share_the_requests_of_one_name);

async fn hosts_in_both_languages_share_the_requests_of_one_name(sdk: Sdk) {
    const REQUESTS: usize = 100;
    let test = TestMesh::start().await;
    let mut python = test.python_peer(sdk).await;
    must(&mut python, "host_many", json!({"names": ["who"]})).await;
    let host = test.rust_peer().await;
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let who = AgentSpec::new("who", "Returns the language of the host.").handler(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        async { "rust" }
    });
    host.register(who).await.unwrap();
    assert_eq!(test.catalog_names().await, ["who"], "one entry for both");

    let mut answers = HashMap::new();
    for _ in 0..REQUESTS {
        let answer: String = within(test.mesh.call("who", ())).await.unwrap();
        *answers.entry(answer).or_insert(0) += 1;
    }
    assert_eq!(answers.len(), 2, "both languages answer: {answers:?}");
    // Hosts outside of the queue group would receive every request.
    assert_eq!(taken.load(Ordering::Relaxed), answers["rust"]);

    must(&mut python, "leave", json!({})).await;
    for _ in 0..10 {
        let answer: String = within(test.mesh.call("who", ())).await.unwrap();
        assert_eq!(answer, "rust", "no request is lost when a host leaves");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_entry_is_lost_on_a_new_mesh_and_python_agents_remain() {
    let mut hosts = Hosts::on_a_new_mesh().await;
    hosts.rust_leaves().await;
    let names = (0..hosts.python.len()).flat_map(python_names).collect();
    hosts.remain(names).await;
    hosts.python_leaves().await;
    hosts.remain(vec![]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_entry_is_lost_on_a_known_mesh_and_rust_agents_remain() {
    let mut hosts = Hosts::on_a_known_mesh().await;
    hosts.python_leaves().await;
    hosts
        .remain((0..RUST_HOSTS).flat_map(rust_names).collect())
        .await;

    // A new peer has the same catalog.
    let mut late = hosts.test.python_peer(Sdk::V0_2_0).await;
    let names: Vec<String> = (0..RUST_HOSTS).flat_map(rust_names).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(python_lists(&mut late, &names).await.len(), names.len());
    hosts.rust_leaves().await;
    hosts.remain(vec![]).await;
}
