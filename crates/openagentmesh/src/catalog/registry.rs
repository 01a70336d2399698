//! Contracts in the registry: one key per agent.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use openagentmesh_protocol::{AgentName, Contract, ErrorCode};

use super::Registration;
use crate::error::{Error, Result};
use crate::store::{Bucket, Change};

/// How many requests to the server are under way at once.
const AT_ONCE: usize = 64;

pub(super) async fn get(registry: &Bucket, name: &AgentName) -> Result<Option<Contract>> {
    let stored = registry.read(name.as_str()).await?;
    stored
        .and_then(|stored| stored.value)
        .map(|json| {
            serde_json::from_slice(&json).map_err(|error| {
                Error::raised(
                    ErrorCode::ConnectionFailed,
                    format!("the contract of agent '{name}' in the registry is malformed: {error}"),
                )
                .with_agent(name)
                .with_source(error)
            })
        })
        .transpose()
}

/// Those of `names` that have a contract, in their order. One that is malformed is left out, and logged.
pub(super) async fn get_all(registry: &Bucket, names: &[AgentName]) -> Result<Vec<Contract>> {
    let found: Vec<Option<Contract>> = stream::iter(names.to_vec())
        .map(|name| get_understood(registry, name))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

async fn get_understood(registry: &Bucket, name: AgentName) -> Result<Option<Contract>> {
    match get(registry, &name).await {
        // It is about this one contract.
        Err(error) if error.agent().is_some() => {
            tracing::warn!(%error, "a contract is left out");
            Ok(None)
        }
        found => found,
    }
}

pub(super) async fn put_all(registry: &Bucket, agents: &[Registration]) -> Result<()> {
    let documents = agents
        .iter()
        .map(|agent| (agent.name.clone(), agent.document.clone()));
    stream::iter(documents.collect::<Vec<_>>())
        .map(|(name, document)| put(registry, name, document))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

async fn put(registry: &Bucket, name: AgentName, document: Bytes) -> Result<()> {
    let put = Change::Put(document);
    registry.try_write(name.as_str(), put).await?;
    Ok(())
}

pub(super) async fn delete_all(registry: &Bucket, names: &[AgentName]) -> Result<()> {
    stream::iter(names.to_vec())
        .map(|name| delete(registry, name))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

async fn delete(registry: &Bucket, name: AgentName) -> Result<()> {
    registry.try_write(name.as_str(), Change::Delete).await?;
    Ok(())
}

/// Those of `names` that have no contract.
pub(super) async fn missing(registry: &Bucket, names: &[AgentName]) -> Result<Vec<AgentName>> {
    let missing: Vec<Option<AgentName>> = stream::iter(names.to_vec())
        .map(|name| missing_one(registry, name))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(missing.into_iter().flatten().collect())
}

async fn missing_one(registry: &Bucket, name: AgentName) -> Result<Option<AgentName>> {
    let stored = registry.read(name.as_str()).await?;
    let found = stored.is_some_and(|stored| stored.value.is_some());
    Ok((!found).then_some(name))
}
