//! The stored state after a run: exactly that of the living hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_nats::jetstream::{self, kv};
use futures::TryStreamExt;
use openagentmesh::protocol::InstanceRecord;
use openagentmesh::protocol::bucket::{INSTANCES, LEASES, REGISTRY};
use openagentmesh::{AgentMesh, InstanceState};
use serde_json::Value;

use crate::agents::AGENTS;
use crate::hosts::Host;

/// The limit of the time until the stored state is exact.
pub(crate) const SETTLING_TIMEOUT: Duration = Duration::from_secs(60);

/// Waits until `problem` returns `None`. The last problem is the error.
pub(crate) async fn settles<F: Future<Output = Option<String>>>(
    mut problem: impl FnMut() -> F,
) -> Result<Duration, String> {
    let started = std::time::Instant::now();
    let mut last = "no answer".to_owned();
    let settled = tokio::time::timeout(SETTLING_TIMEOUT, async {
        while let Some(problem) = problem().await {
            last = problem;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    match settled.await {
        Ok(()) => Ok(started.elapsed()),
        Err(_) => Err(last),
    }
}

fn expected() -> BTreeSet<String> {
    AGENTS.concat().iter().map(ToString::to_string).collect()
}

/// The reason why the stored state is not that of the hosts which serve; `None` when it is.
pub(crate) async fn serving_problem(
    url: &str,
    meshes: &[AgentMesh],
    hosts: &[Host],
) -> Option<String> {
    serving(url, meshes, hosts).await.err()
}

/// The reason why the stored state is not empty, after all hosts have left.
pub(crate) async fn empty_problem(url: &str, meshes: &[AgentMesh]) -> Option<String> {
    empty(url, meshes).await.err()
}

async fn serving(url: &str, meshes: &[AgentMesh], hosts: &[Host]) -> Result<(), String> {
    for mesh in meshes {
        same("catalog", catalog(mesh).await?, expected())?;
    }
    let store = Stores::open(url).await?;
    same("registry", keys(&store.registry).await?, expected())?;
    for name in expected() {
        let contract = read(&store.registry, &name).await?;
        same("contract", contract["name"].as_str(), Some(&*name))?;
    }
    let mut served = BTreeMap::new();
    for key in keys(&store.instances).await? {
        let record: InstanceRecord = serde_json::from_value(read(&store.instances, &key).await?)
            .map_err(|error| format!("{key}: {error}"))?;
        same(
            "state",
            record.state.as_ref(),
            Some(&InstanceState::Serving),
        )?;
        let agents: BTreeSet<_> = record.agents.iter().map(ToString::to_string).collect();
        served.insert(Some(key), agents);
    }
    let living = hosts.iter().map(|host| {
        let agents = AGENTS[host.index].map(str::to_owned);
        (host.instance(), BTreeSet::from(agents))
    });
    same("instances", served, living.collect())?;
    same("leases", keys(&store.leases).await?.len(), 1)
}

async fn empty(url: &str, meshes: &[AgentMesh]) -> Result<(), String> {
    for mesh in meshes {
        same("catalog", catalog(mesh).await?, BTreeSet::new())?;
    }
    let store = Stores::open(url).await?;
    for bucket in [&store.registry, &store.instances, &store.leases] {
        same(&bucket.name, keys(bucket).await?, BTreeSet::new())?;
    }
    for bucket in [&store.instances, &store.leases] {
        let info = bucket.stream.get_info().await.map_err(text)?;
        same("messages, markers included", info.state.messages, 0)?;
    }
    Ok(())
}

struct Stores {
    registry: kv::Store,
    instances: kv::Store,
    leases: kv::Store,
}

impl Stores {
    async fn open(url: &str) -> Result<Self, String> {
        let jetstream = jetstream::new(async_nats::connect(url).await.map_err(text)?);
        let [registry, instances, leases] = [REGISTRY, INSTANCES, LEASES].map(|bucket| {
            let jetstream = jetstream.clone();
            async move { jetstream.get_key_value(bucket).await.map_err(text) }
        });
        Ok(Self {
            registry: registry.await?,
            instances: instances.await?,
            leases: leases.await?,
        })
    }
}

/// The catalog, from the store and as the cache of the process has it.
async fn catalog(mesh: &AgentMesh) -> Result<BTreeSet<String>, String> {
    let names = |entries: Vec<openagentmesh::CatalogEntry>| {
        let names: Vec<_> = entries
            .into_iter()
            .map(|entry| entry.name.to_string())
            .collect();
        let unique: BTreeSet<_> = names.iter().cloned().collect();
        same("entries of unique names", names.len(), unique.len())?;
        Ok::<_, String>(unique)
    };
    let stored = names(mesh.catalog().fresh().await.map_err(text)?)?;
    let cached = names(mesh.catalog().await.map_err(text)?)?;
    same("cached catalog", cached, stored.clone())?;
    Ok(stored)
}

async fn keys(store: &kv::Store) -> Result<BTreeSet<String>, String> {
    let keys = store.keys().await.map_err(text)?;
    keys.try_collect().await.map_err(text)
}

async fn read(store: &kv::Store, key: &str) -> Result<Value, String> {
    let value = store.get(key).await.map_err(text)?;
    let value = value.ok_or_else(|| format!("{key} has no value"))?;
    serde_json::from_slice(&value).map_err(text)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: {found:?} in place of {expected:?}")),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
