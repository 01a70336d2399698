//! Reading many contracts: by one consumer of the registry, or with one request for each.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt, stream};
use openagentmesh_protocol::bucket::REGISTRY;
use openagentmesh_protocol::{AgentName, Contract, subject};

use super::registry::{self, MAX_CONCURRENT};
use crate::error::Result;
use crate::store::{Delivery, Find, KvBucket, Meaning, OrderedConsumer, Start};
use crate::transport;

/// The number of contracts from which on they are read by a consumer, which takes four requests.
const MIN_DELIVERED: usize = 64;
/// The part of the registry that is read by a consumer at least: it delivers all of it.
const MIN_DELIVERED_PART: usize = 4;

/// Receives the number of contracts that were read or found missing, and the number of all.
pub(crate) type Progress = Box<dyn FnMut(usize, usize) + Send>;

/// The contracts of some agents, as far as they were read.
struct Reading<'n> {
    names: &'n [AgentName],
    positions: HashMap<&'n str, usize>,
    /// The contracts, in the order of the names.
    contracts: Vec<Option<Contract>>,
    /// Whether the contract of each agent was read, or is missing.
    is_done: Vec<bool>,
    done: usize,
    progress: Option<Progress>,
}

/// The contracts of `names` in their order, for each name once. Missing ones are skipped, malformed ones logged and
/// skipped. The registry has `listed` contracts, or about as many.
///
/// # Errors
///
/// Those of [`KvBucket::read`].
pub(super) async fn get_all(
    registry: &Arc<KvBucket>,
    names: &[AgentName],
    listed: usize,
    progress: Option<Progress>,
) -> Result<Vec<Contract>> {
    let positions = names.iter().enumerate();
    let mut reading = Reading {
        names,
        positions: positions.map(|(at, name)| (name.as_str(), at)).collect(),
        contracts: vec![None; names.len()],
        is_done: vec![false; names.len()],
        done: 0,
        progress,
    };
    if names.len() >= MIN_DELIVERED && names.len() * MIN_DELIVERED_PART >= listed {
        // Some users may create no consumer, and a bucket has a limit of consumers.
        if let Err(error) = reading.deliver(registry).await {
            tracing::debug!(%error, "contracts are read one by one");
        }
    }
    reading.request(registry).await?;
    Ok(reading.contracts.into_iter().flatten().collect())
}

impl Reading<'_> {
    /// Reads the contracts by one consumer, which delivers them without further requests. Those that it does not deliver
    /// are left.
    async fn deliver(&mut self, registry: &Arc<KvBucket>) -> Result<()> {
        let prefix = subject::kv(REGISTRY, "");
        let filter = subject::kv(REGISTRY, ">");
        let mut last = None;
        if registry.connection().is_clustered() {
            // The leader has every write. The server of the consumer may have fewer.
            last = registry.message("read", Find::Last(&filter)).await?;
        }
        let (registry, start) = (Arc::clone(registry), Start::Stored);
        let mut consumer = OrderedConsumer::open(registry, filter, start, false).await?;
        if consumer.reads_one_by_one() {
            return Ok(());
        }
        let mut newest = 0;
        while consumer.pending() > 0 {
            let message = match consumer.next().await {
                Some(Delivery::Message(message)) => message,
                Some(Delivery::Denied(error)) => return Err(error),
                // The remaining contracts were removed after the consumer had counted them.
                Some(Delivery::Idle) => break,
                Some(Delivery::BucketRecreated) => {
                    newest = 0;
                    continue;
                }
                None => return Err(transport::closed("contracts were being read")),
            };
            newest = newest.max(message.sequence);
            let position = message.subject.strip_prefix(&prefix);
            let Some(&position) = position.and_then(|name| self.positions.get(name)) else {
                continue;
            };
            let found = match message.meaning {
                Meaning::Value => {
                    registry::parse(&message.payload, &self.names[position]).map(Some)
                }
                Meaning::Deletion => Ok(None),
                // The request has the error.
                Meaning::Malformed(_) => continue,
            };
            self.finish(position, registry::skip_malformed(found)?);
        }
        if last.is_some_and(|last| newest < last.sequence) {
            tracing::debug!("a server of the cluster lacks contracts");
            self.is_done.fill(false);
            self.done = 0;
        }
        Ok(())
    }

    /// Reads the contracts that are left with one request for each.
    async fn request(&mut self, registry: &KvBucket) -> Result<()> {
        let left = (0..self.names.len()).filter(|position| !self.is_done[*position]);
        let left: Vec<(usize, AgentName)> = left
            .map(|position| (position, self.names[position].clone()))
            .collect();
        let mut found = stream::iter(left)
            .map(|(position, name)| async move {
                let found = registry::get(registry, &name).await;
                (position, registry::skip_malformed(found))
            })
            .buffer_unordered(MAX_CONCURRENT);
        while let Some((position, found)) = found.next().await {
            self.finish(position, found?);
        }
        Ok(())
    }

    fn finish(&mut self, position: usize, contract: Option<Contract>) {
        self.contracts[position] = contract;
        // A contract that is written during the delivery is delivered again.
        if std::mem::replace(&mut self.is_done[position], true) {
            return;
        }
        self.done += 1;
        if let Some(progress) = &mut self.progress {
            progress(self.done, self.names.len());
        }
    }
}
