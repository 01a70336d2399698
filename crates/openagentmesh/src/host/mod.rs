//! Serving agents.
//!
//! A request's way is a straight line: the agent's [`service`] takes it from its subscription
//! and gives it a place, [`decode`] reads it, [`validate`] explains a bad input, [`dispatch`]
//! runs the handler, [`reply`] answers.

mod decode;
mod dispatch;
mod reply;
mod service;
mod validate;

use std::collections::BTreeMap;
use std::time::Duration;

use openagentmesh_protocol::{AgentName, Contract, ErrorCode, InstanceId};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::agent::Agent;
use crate::discovery::Directory;
use crate::error::{Error, Result};
use service::Service;

/// The agents that this process serves.
///
/// Each has a task that takes its requests, and a task per running request. They end when the
/// agent is deregistered or the host shuts down, and at the latest when the host is dropped.
pub(crate) struct Host {
    client: async_nats::Client,
    instance_id: InstanceId,
    services: Mutex<BTreeMap<AgentName, Service>>,
    abort: CancellationToken,
}

impl Host {
    pub(crate) fn new(client: async_nats::Client, instance_id: InstanceId) -> Self {
        Self {
            client,
            instance_id,
            services: Mutex::new(BTreeMap::new()),
            abort: CancellationToken::new(),
        }
    }

    /// Serves `agents` and lists them, all or none.
    pub(crate) async fn register(&self, agents: Vec<Agent>, directory: &Directory) -> Result<()> {
        let contracts = agents
            .iter()
            .map(Agent::contract_registered_now)
            .collect::<Result<Vec<_>>>()?;
        if contracts.is_empty() {
            return Ok(());
        }
        let mut services = self.services.lock().await;
        refuse_duplicates(&contracts, &services)?;
        directory.check_sizes(&contracts)?;

        let mut started = Vec::with_capacity(agents.len());
        let listed = async {
            for (agent, contract) in agents.iter().zip(&contracts) {
                let service = Service::start(
                    agent,
                    &contract.name,
                    self.client.clone(),
                    self.instance_id.clone(),
                    self.abort.child_token(),
                )
                .await?;
                started.push((contract.name.clone(), service));
            }
            // Whoever finds an agent in the catalog can call it: the server knows the
            // subscriptions before the first entry is written.
            self.client
                .flush()
                .await
                .map_err(|error| crate::wire::closed(error.to_string()))?;
            directory.add(&contracts).await
        }
        .await;
        match listed {
            Ok(()) => {
                services.extend(started);
                Ok(())
            }
            Err(error) => {
                for (_, service) in started {
                    service.abort();
                }
                Err(error)
            }
        }
    }

    /// Stops serving `names` and takes them off the lists. Requests that were taken are finished
    /// within `grace`.
    pub(crate) async fn deregister(
        &self,
        names: &[AgentName],
        directory: &Directory,
        grace: Duration,
    ) -> Result<()> {
        let mut services = self.services.lock().await;
        if let Some(unknown) = names.iter().find(|name| !services.contains_key(*name)) {
            return Err(Error::new(
                ErrorCode::NotFound,
                format!("this process does not serve agent '{unknown}'"),
            )
            .with_agent(unknown));
        }
        let leaving = names
            .iter()
            .filter_map(|name| services.remove_entry(name))
            .collect();
        leave(leaving, directory, grace).await
    }

    /// Deregisters every agent; see [`Host::deregister`].
    pub(crate) async fn shutdown(&self, directory: &Directory, grace: Duration) -> Result<()> {
        let leaving = std::mem::take(&mut *self.services.lock().await)
            .into_iter()
            .collect();
        leave(leaving, directory, grace).await
    }

    /// Stops every task of the host, whatever it is doing.
    pub(crate) fn abort(&self) {
        self.abort.cancel();
    }
}

async fn leave(
    leaving: Vec<(AgentName, Service)>,
    directory: &Directory,
    grace: Duration,
) -> Result<()> {
    if leaving.is_empty() {
        return Ok(());
    }
    let (names, services): (Vec<_>, Vec<_>) = leaving.into_iter().unzip();
    futures::future::join_all(services.into_iter().map(|service| service.drain(grace))).await;
    directory.remove(&names).await
}

fn refuse_duplicates(
    contracts: &[Contract],
    services: &BTreeMap<AgentName, Service>,
) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for Contract { name, .. } in contracts {
        if services.contains_key(name) || !seen.insert(name) {
            return Err(Error::new(
                ErrorCode::InvalidInput,
                format!(
                    "agent '{name}' is registered twice in this process; \
                     give one another name, or start a second process to share its load"
                ),
            )
            .with_agent(name));
        }
    }
    Ok(())
}
