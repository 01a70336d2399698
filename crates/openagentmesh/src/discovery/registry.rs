//! Contracts in the registry: one key per agent.

use async_nats::jetstream::kv::Store;
use futures::{StreamExt, TryStreamExt, stream};
use openagentmesh_protocol::bucket::REGISTRY;
use openagentmesh_protocol::{AgentName, Contract, ErrorCode};

use super::bucket::{self, ENVELOPE};
use crate::error::{Error, Result};
use crate::wire::too_large;

/// How many writes are under way at once.
const WRITES: usize = 64;

pub(super) async fn get(store: &Store, name: &AgentName) -> Result<Option<Contract>> {
    let value = store
        .get(name.as_str())
        .await
        .map_err(|error| bucket::failed("read", REGISTRY, error))?;
    value
        .map(|json| {
            serde_json::from_slice(&json).map_err(|error| {
                Error::new(
                    ErrorCode::InvalidInput,
                    format!("the contract of agent '{name}' cannot be read: {error}"),
                )
                .with_agent(name)
                .with_source(error)
            })
        })
        .transpose()
}

pub(super) async fn put_all(store: &Store, contracts: &[Contract]) -> Result<()> {
    stream::iter(contracts)
        .map(|contract| async move {
            let json = encode(contract)?;
            store
                .put(contract.name.as_str(), json.into())
                .await
                .map_err(|error| bucket::failed("write", REGISTRY, error))?;
            Ok(())
        })
        .buffer_unordered(WRITES)
        .try_collect()
        .await
}

pub(super) async fn delete_all<'n>(
    store: &Store,
    names: impl Iterator<Item = &'n AgentName>,
) -> Result<()> {
    stream::iter(names)
        .map(|name| async move {
            store
                .delete(name.as_str())
                .await
                .map_err(|error| bucket::failed("write", REGISTRY, error))
        })
        .buffer_unordered(WRITES)
        .try_collect()
        .await
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
        Error::new(
            ErrorCode::InvalidInput,
            format!(
                "the contract of agent '{}' cannot be JSON: {error}",
                contract.name
            ),
        )
        .with_source(error)
    })
}
