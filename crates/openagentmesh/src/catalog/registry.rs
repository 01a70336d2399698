//! The contracts in the registry: one key per agent.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use openagentmesh_protocol::{AgentName, CatalogEntry, Contract, ErrorCode};

use super::problem;
use super::registration::{self, Registration};
use crate::error::{BoxError, Error, Result};
use crate::store::{KvBucket, Mirror, Reflection};
use crate::transport;

/// The number of concurrent requests to the server.
pub(super) const MAX_CONCURRENT: usize = 64;
/// The number of attempts to replace a contract that others keep writing.
const MAX_ATTEMPTS: usize = 5;

/// A contract that this process may have written in place of another value.
#[derive(Clone)]
pub(super) struct Replaced {
    pub(super) registration: Registration,
    /// The value before; `None` if there was none.
    previous: Option<Bytes>,
}

impl Replaced {
    /// Whether another host had a contract of the agent.
    pub(super) fn has_previous(&self) -> bool {
        let name = &self.registration.name;
        let previous = self.previous.as_ref();
        previous.is_some_and(|previous| parse(previous, name).is_ok())
    }
}

pub(super) async fn get(registry: &KvBucket, name: &AgentName) -> Result<Option<Contract>> {
    let Some(stored) = registry.read(name.as_str()).await? else {
        return Ok(None);
    };
    if let Some(reason) = stored.malformed {
        return Err(malformed(name, reason));
    }
    stored.value.map(|json| parse(&json, name)).transpose()
}

fn malformed(name: &AgentName, cause: impl Into<BoxError>) -> Error {
    let what = format!("contract of agent '{name}'");
    problem::malformed(&what, cause, "register the agent again").with_agent(name)
}

/// # Errors
///
/// `storage_error` when `json` is not the contract of agent `name`.
pub(super) fn parse(json: &[u8], name: &AgentName) -> Result<Contract> {
    let contract: Contract =
        serde_json::from_slice(json).map_err(|error| malformed(name, error))?;
    if contract.name != *name {
        let reason = format!("the document is that of agent '{}'", contract.name);
        return Err(malformed(name, reason));
    }
    Ok(contract)
}

/// The catalog entries of all contracts in the `registry`, followed.
pub(super) async fn entries(registry: &Arc<KvBucket>) -> Result<Mirror<CatalogEntry>> {
    Mirror::open(registry, |name, json| {
        let name = AgentName::new(name).ok()?;
        let contract = skip_malformed(parse(json, &name).map(Some)).ok()??;
        let entry = contract.to_catalog_entry();
        registration::check_entry_size(&name, &entry).ok()?;
        Some(entry)
    })
    .await
}

/// The catalog entries of all contracts that the `registry` has now.
pub(super) async fn all_entries(registry: &Arc<KvBucket>) -> Result<Vec<CatalogEntry>> {
    let mut entries = entries(registry).await?;
    while !entries.is_complete() {
        match entries.next().await {
            Some(Reflection::Changed | Reflection::Current) => {}
            Some(Reflection::Denied(error)) => return Err(error),
            None => return Err(transport::closed("contracts were being read")),
        }
    }
    Ok(entries.values().cloned().collect())
}

/// The contract that was `found`, where a malformed one is logged and counts as missing.
pub(super) fn skip_malformed(found: Result<Option<Contract>>) -> Result<Option<Contract>> {
    match found {
        // An error with an agent concerns only this contract.
        Err(error) if error.agent().is_some() => {
            tracing::warn!(%error, "a malformed contract is skipped");
            Ok(None)
        }
        found => found,
    }
}

/// Writes the contracts of `agents`, and returns what they replaced. On error, those that may have been written are
/// returned, too. The others are not written later.
pub(super) async fn replace_all(
    registry: &KvBucket,
    agents: &[Registration],
) -> (Vec<Replaced>, Result<()>) {
    let has_failed = AtomicBool::new(false);
    let replacing = agents.iter().cloned().map(|registration| {
        let has_failed = &has_failed;
        async move {
            if has_failed.load(Ordering::Relaxed) {
                return None;
            }
            let replaced = replace(registry, registration).await;
            if replaced.1.is_err() {
                has_failed.store(true, Ordering::Relaxed);
            }
            Some(replaced)
        }
    });
    let done: Vec<_> = stream::iter(replacing.collect::<Vec<_>>())
        .buffer_unordered(MAX_CONCURRENT)
        .collect()
        .await;
    let (replaced, results): (Vec<_>, Vec<_>) = done.into_iter().flatten().unzip();
    (replaced, results.into_iter().collect())
}

async fn replace(registry: &KvBucket, registration: Registration) -> (Replaced, Result<()>) {
    let (name, document) = (registration.name.clone(), registration.document.clone());
    let mut replaced = Replaced {
        registration,
        previous: None,
    };
    // Most agents are new: their first write needs no read.
    let mut revision = 0;
    for _ in 0..MAX_ATTEMPTS {
        match registry
            .update(name.as_str(), document.clone(), revision)
            .await
        {
            Ok(Ok(_)) => return (replaced, Ok(())),
            Ok(Err(error)) if error.is_wrong_revision() => {}
            Ok(Err(error)) => {
                return (replaced, Err(error.into_error("write", registry.name())));
            }
            Err(error) => return (replaced, Err(error)),
        }
        match registry.read(name.as_str()).await {
            Ok(stored) => {
                revision = stored.as_ref().map_or(0, |stored| stored.revision);
                replaced.previous = stored.and_then(|stored| stored.value);
            }
            Err(error) => return (replaced, Err(error)),
        }
    }
    let error = Error::raised(
        ErrorCode::Timeout,
        format!(
            "cannot write the contract of agent '{name}': other processes keep changing it; try again"
        ),
    );
    (replaced, Err(error.with_agent(&name)))
}

/// Takes back those of `replaced` that are still stored as this process wrote them: the contract before is written
/// again, or the key is deleted. Returns the names of these agents.
pub(super) async fn take_back_all(
    registry: &KvBucket,
    replaced: &[Replaced],
) -> Result<BTreeSet<AgentName>> {
    let names: Vec<Option<AgentName>> = stream::iter(replaced.to_vec())
        .map(|replaced| take_back(registry, replaced))
        .buffer_unordered(MAX_CONCURRENT)
        .try_collect()
        .await?;
    Ok(names.into_iter().flatten().collect())
}

async fn take_back(registry: &KvBucket, replaced: Replaced) -> Result<Option<AgentName>> {
    let Registration { name, document, .. } = replaced.registration;
    let Some(stored) = registry.read(name.as_str()).await? else {
        return Ok(None);
    };
    if stored.value.is_none_or(|value| value != document) {
        return Ok(None);
    }
    let previous = replaced.previous;
    let taken_back = match previous.filter(|previous| parse(previous, &name).is_ok()) {
        Some(previous) => registry
            .update(name.as_str(), previous, stored.revision)
            .await?
            .map(drop),
        None => delete_revision(registry, &name, stored.revision).await?,
    };
    match taken_back {
        Ok(()) => Ok(Some(name)),
        // Another host has written the contract in between.
        Err(error) if error.is_wrong_revision() => Ok(None),
        Err(error) => Err(error.into_error("write", registry.name())),
    }
}

/// Deletes the contract of `name` if it still has `revision`.
async fn delete_revision(
    registry: &KvBucket,
    name: &AgentName,
    revision: u64,
) -> Result<Result<(), crate::store::StoreError>> {
    registry.delete_revision(name.as_str(), revision).await
}

/// The contracts of `names` that are stored, with their revisions.
pub(super) async fn revisions(
    registry: &KvBucket,
    names: &[AgentName],
) -> Result<Vec<(AgentName, u64)>> {
    let found: Vec<_> = stream::iter(names.to_vec())
        .map(|name| async move {
            let stored = registry.read(name.as_str()).await?;
            let stored = stored.filter(|stored| stored.value.is_some());
            Ok::<_, Error>(stored.map(|stored| (name, stored.revision)))
        })
        .buffer_unordered(MAX_CONCURRENT)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

/// Deletes those of `contracts` that still have their revision.
pub(super) async fn delete_revisions(
    registry: &KvBucket,
    contracts: Vec<(AgentName, u64)>,
) -> Result<()> {
    stream::iter(contracts)
        .map(|(name, revision)| async move {
            match delete_revision(registry, &name, revision).await? {
                Err(error) if !error.is_wrong_revision() => {
                    Err(error.into_error("write", registry.name()))
                }
                // Another host has written the contract since, or it is deleted.
                Ok(()) | Err(_) => Ok(()),
            }
        })
        .buffer_unordered(MAX_CONCURRENT)
        .try_collect()
        .await
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

/// Writes the contracts of those of `agents` for which the registry has neither their own contract nor that of another
/// host that has registered the agent later. Returns how many were written.
pub(super) async fn restore_all(registry: &KvBucket, agents: &[Registration]) -> Result<usize> {
    let restored: Vec<bool> = stream::iter(agents.to_vec())
        .map(|agent| restore(registry, agent))
        .buffer_unordered(MAX_CONCURRENT)
        .try_collect()
        .await?;
    Ok(restored.into_iter().filter(|restored| *restored).count())
}

async fn restore(registry: &KvBucket, agent: Registration) -> Result<bool> {
    for _ in 0..MAX_ATTEMPTS {
        let stored = registry.read(agent.name.as_str()).await?;
        let revision = stored.as_ref().map_or(0, |stored| stored.revision);
        let value = stored.and_then(|stored| stored.value);
        if value.is_some_and(|value| is_current(&value, &agent)) {
            return Ok(false);
        }
        let document = agent.document.clone();
        match registry
            .update(agent.name.as_str(), document, revision)
            .await?
        {
            Ok(_) => return Ok(true),
            Err(error) if error.is_wrong_revision() => {}
            Err(error) => return Err(error.into_error("write", registry.name())),
        }
    }
    // Others keep writing the contract. The next check follows their last write.
    Ok(false)
}

fn is_current(value: &[u8], agent: &Registration) -> bool {
    value == agent.document
        || parse(value, &agent.name).is_ok_and(|contract| agent.is_replaced_by(&contract))
}

/// The contract of another host that has registered `agent` later, if the registry has one.
pub(super) async fn replacement(
    registry: &KvBucket,
    agent: &Registration,
) -> Result<Option<Contract>> {
    let stored = registry.read(agent.name.as_str()).await?;
    let contract = stored
        .and_then(|stored| stored.value)
        .and_then(|value| parse(&value, &agent.name).ok());
    Ok(contract.filter(|contract| agent.is_replaced_by(contract)))
}
