//! Keeps the agents of this host listed. Another host of an agent that shuts down removes the agent's entry
//! from the catalog; a restarted server may have lost its data.

use std::sync::Arc;
use std::time::Duration;

use openagentmesh_protocol::AgentName;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::service::Services;
use crate::catalog::CacheState;
use crate::error::Result;
use crate::session::Session;
use crate::store::ensure_buckets;
use crate::util::backoff::Backoff;

/// The back-off between attempts to write the catalog.
const FIRST_DELAY: Duration = Duration::from_secs(2);
const MAX_DELAY: Duration = Duration::from_secs(16);

/// The delay from the restoration of an entry to the check of its contract. Published SDKs delete the contract after the
/// entry, and so possibly after the entry was restored.
const CONTRACT_CHECK_DELAY: Duration = Duration::from_secs(2);

/// Starts the reconciler of `services`. The task ends when `stop` fires.
pub(super) fn start(session: Arc<Session>, services: Arc<Services>, stop: CancellationToken) {
    tokio::spawn(async move {
        let reconciler = Reconciler { session, services };
        stop.run_until_cancelled(reconciler.run()).await;
    });
}

struct Reconciler {
    session: Arc<Session>,
    services: Arc<Services>,
}

impl Reconciler {
    /// Compares the services with the catalog after each change of the catalog.
    async fn run(self) {
        let mut catalog = self.session.directory.follow();
        let mut backoff = Backoff::new(FIRST_DELAY, MAX_DELAY);
        let mut contract_check = None;
        loop {
            let state = catalog.borrow_and_update().clone();
            let restored = match state {
                CacheState::Ready(snapshot) => self.restore(|name| snapshot.lists(name)).await,
                CacheState::Loading | CacheState::Unavailable { .. } => Ok(false),
            };
            let retry = match restored {
                Ok(restored) => {
                    backoff.reset();
                    if restored {
                        contract_check = Some(Instant::now() + CONTRACT_CHECK_DELAY);
                    }
                    None
                }
                Err(error) => {
                    tracing::debug!(%error, "the catalog cannot be written");
                    Some(Instant::now() + backoff.next_delay())
                }
            };
            tokio::select! {
                changed = catalog.changed() => if changed.is_err() { return },
                () = at(retry) => {}
                () = at(contract_check) => {
                    contract_check = None;
                    if let Err(error) = self.recheck_contracts().await {
                        tracing::debug!(%error, "the contracts cannot be read");
                        contract_check = Some(Instant::now() + backoff.next_delay());
                    }
                }
            }
        }
    }

    /// Lists the agents again whose contract is missing.
    async fn recheck_contracts(&self) -> Result<()> {
        let names: Vec<AgentName> = self.services.lock().await.keys().cloned().collect();
        let missing = self.session.directory.without_contract(&names).await?;
        self.restore(|name| !missing.contains(name)).await?;
        Ok(())
    }

    /// Lists the agents of this host that are not `listed`. Returns whether there were any. An agent that is
    /// being deregistered is not among the services.
    async fn restore(&self, listed: impl Fn(&AgentName) -> bool) -> Result<bool> {
        let services = self.services.lock().await;
        let missing: Vec<_> = services
            .iter()
            .filter(|(name, _)| !listed(name))
            .map(|(_, service)| service.registration().clone())
            .collect();
        if missing.is_empty() {
            return Ok(false);
        }
        tracing::debug!(agents = missing.len(), "restoring agents in the catalog");
        // A server that lost the catalog may have lost the other buckets, too.
        ensure_buckets(&self.session.connection).await?;
        self.session.directory.list(&missing).await?;
        Ok(true)
    }
}

/// Resolves at `time`; never if there is none.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
