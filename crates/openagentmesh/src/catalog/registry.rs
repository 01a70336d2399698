//! The contracts in the registry: one key per agent.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use openagentmesh_protocol::{AgentName, Contract, ErrorCode};

use super::registration::Registration;
use crate::error::{BoxError, Error, Result};
use crate::store::KvBucket;

/// The number of concurrent requests to the server.
const MAX_CONCURRENT: usize = 64;

pub(super) async fn get(registry: &KvBucket, name: &AgentName) -> Result<Option<Contract>> {
    let Some(stored) = registry.read(name.as_str()).await? else {
        return Ok(None);
    };
    if let Some(reason) = stored.malformed {
        return Err(malformed(name, reason));
    }
    let contract = stored.value.map(|json| serde_json::from_slice(&json));
    contract.transpose().map_err(|error| malformed(name, error))
}

fn malformed(name: &AgentName, cause: impl Into<BoxError>) -> Error {
    let cause = cause.into();
    Error::raised(
        ErrorCode::StorageError,
        format!("malformed contract of agent '{name}': {cause}; register the agent again"),
    )
    .with_agent(name)
    .with_source(cause)
}

/// The contracts of `names`, in their order. Missing ones are skipped, malformed ones logged and skipped.
pub(super) async fn get_all(registry: &KvBucket, names: &[AgentName]) -> Result<Vec<Contract>> {
    let found: Vec<Option<Contract>> = stream::iter(names.to_vec())
        .map(|name| get_well_formed(registry, name))
        .buffered(MAX_CONCURRENT)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

async fn get_well_formed(registry: &KvBucket, name: AgentName) -> Result<Option<Contract>> {
    match get(registry, &name).await {
        // An error with an agent concerns only this contract.
        Err(error) if error.agent().is_some() => {
            tracing::warn!(%error, "a malformed contract is skipped");
            Ok(None)
        }
        found => found,
    }
}

pub(super) async fn put_all(registry: &KvBucket, agents: &[Registration]) -> Result<()> {
    let documents = agents
        .iter()
        .map(|agent| (agent.name.clone(), agent.document.clone()));
    stream::iter(documents.collect::<Vec<_>>())
        .map(|(name, document)| put(registry, name, document))
        .buffer_unordered(MAX_CONCURRENT)
        .try_collect()
        .await
}

async fn put(registry: &KvBucket, name: AgentName, document: Bytes) -> Result<()> {
    let written = registry.put(name.as_str(), document).await?;
    written.map_err(|error| error.into_error("write", registry.name()))?;
    Ok(())
}

pub(super) async fn delete_all(registry: &KvBucket, names: &[AgentName]) -> Result<()> {
    stream::iter(names.to_vec())
        .map(|name| delete(registry, name))
        .buffer_unordered(MAX_CONCURRENT)
        .try_collect()
        .await
}

async fn delete(registry: &KvBucket, name: AgentName) -> Result<()> {
    let deleted = registry.delete(name.as_str()).await?;
    deleted.map_err(|error| error.into_error("write", registry.name()))
}

/// Those of `names` without a contract.
pub(super) async fn missing(registry: &KvBucket, names: &[AgentName]) -> Result<Vec<AgentName>> {
    let missing: Vec<Option<AgentName>> = stream::iter(names.to_vec())
        .map(|name| missing_one(registry, name))
        .buffer_unordered(MAX_CONCURRENT)
        .try_collect()
        .await?;
    Ok(missing.into_iter().flatten().collect())
}

async fn missing_one(registry: &KvBucket, name: AgentName) -> Result<Option<AgentName>> {
    let stored = registry.read(name.as_str()).await?;
    let found = stored.is_some_and(|stored| stored.value.is_some());
    Ok((!found).then_some(name))
}
