//! Contracts in the registry: one key per agent.

use async_nats::jetstream::kv::Store;
use futures::{StreamExt, TryStreamExt, stream};
use openagentmesh_protocol::bucket::REGISTRY;
use openagentmesh_protocol::{AgentName, Contract, ErrorCode};

use super::bucket::{self, ENVELOPE};
use crate::error::{Error, Result};
use crate::wire::too_large;

/// How many requests to the server are under way at once.
const AT_ONCE: usize = 64;

pub(super) async fn get(store: &Store, name: &AgentName) -> Result<Option<Contract>> {
    let value = store
        .get(name.as_str())
        .await
        .map_err(|error| bucket::failed("read", REGISTRY, error))?;
    value
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

pub(super) async fn put_all(store: &Store, contracts: &[Contract]) -> Result<()> {
    let documents = contracts
        .iter()
        .map(|contract| Ok((contract.name.clone(), encode(contract)?)))
        .collect::<Result<Vec<_>>>()?;
    stream::iter(documents)
        .map(|(name, json)| put(store.clone(), name, json))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

async fn put(store: Store, name: AgentName, json: Vec<u8>) -> Result<()> {
    store
        .put(name.as_str(), json.into())
        .await
        .map_err(|error| bucket::failed("write", REGISTRY, error))?;
    Ok(())
}

pub(super) async fn delete_all(store: &Store, names: &[AgentName]) -> Result<()> {
    stream::iter(names.to_vec())
        .map(|name| delete(store.clone(), name))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

async fn delete(store: Store, name: AgentName) -> Result<()> {
    store
        .delete(name.as_str())
        .await
        .map_err(|error| bucket::failed("write", REGISTRY, error))
}

/// Those of `names` that have no contract.
pub(super) async fn missing(store: &Store, names: &[AgentName]) -> Result<Vec<AgentName>> {
    let missing: Vec<Option<AgentName>> = stream::iter(names.to_vec())
        .map(|name| missing_one(store.clone(), name))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(missing.into_iter().flatten().collect())
}

async fn missing_one(store: Store, name: AgentName) -> Result<Option<AgentName>> {
    let found = store
        .get(name.as_str())
        .await
        .map_err(|error| bucket::failed("read", REGISTRY, error))?;
    Ok(found.is_none().then_some(name))
}

pub(super) fn check_sizes(contracts: &[Contract], max_payload: usize) -> Result<()> {
    for contract in contracts {
        let size = encode(contract)?.len() + ENVELOPE;
        if size > max_payload {
            let what = format!("the contract of agent '{}'", contract.name);
            return Err(too_large(&what, size, max_payload).with_agent(&contract.name));
        }
    }
    Ok(())
}

fn encode(contract: &Contract) -> Result<Vec<u8>> {
    serde_json::to_vec(contract).map_err(|error| {
        Error::raised(
            ErrorCode::InvalidInput,
            format!(
                "the contract of agent '{}' cannot be JSON: {error}",
                contract.name
            ),
        )
        .with_source(error)
    })
}
