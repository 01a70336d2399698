//! Keeping what is served listed: others may take an entry off the catalog that this host still
//! serves (another host of the same agent that leaves), and a server may come back without what
//! it had stored.

use std::sync::Arc;
use std::time::Duration;

use openagentmesh_protocol::AgentName;
use tokio::time::Instant;

use super::Host;
use crate::catalog::CacheState;
use crate::error::Result;

/// How long to wait before the mesh is written to again after that failed.
const RETRY: Duration = Duration::from_secs(2);

/// How long after an entry was missed its contract is looked at again: the published SDKs delete
/// it after the entry, and so perhaps after it was put back.
const SECOND_LOOK: Duration = Duration::from_secs(2);

/// A time that does not come.
const NEVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// Starts the keeper, which ends when the host is aborted.
pub(super) fn start(host: &Arc<Host>) {
    let keeping = keep(Arc::clone(host));
    let abort = host.abort.clone();
    tokio::spawn(async move {
        abort.run_until_cancelled(keeping).await;
    });
}

/// Looks after each change of the catalog.
async fn keep(host: Arc<Host>) {
    let mut catalog = host.session.directory.follow();
    let mut second_look = None;
    loop {
        let known = catalog.borrow_and_update().clone();
        let restored = match known {
            CacheState::Ready(listing) => restore(&host, |name| listing.lists(name)).await,
            CacheState::Loading | CacheState::Unavailable => Ok(Restored::None),
        };
        let retry = match restored {
            Ok(Restored::None) => None,
            Ok(Restored::Some) => {
                second_look = Some(Instant::now() + SECOND_LOOK);
                None
            }
            Err(error) => {
                tracing::debug!(%error, "agents cannot be listed now");
                Some(Instant::now() + RETRY)
            }
        };
        let never = Instant::now() + NEVER;
        tokio::select! {
            changed = catalog.changed() => if changed.is_err() { return },
            () = tokio::time::sleep_until(retry.unwrap_or(never)) => {}
            () = tokio::time::sleep_until(second_look.unwrap_or(never)) => {
                second_look = None;
                if let Err(error) = look_again(&host).await {
                    tracing::debug!(%error, "contracts cannot be looked at now");
                    second_look = Some(Instant::now() + RETRY);
                }
            }
        }
    }
}

/// Lists anew what is served and has no contract.
async fn look_again(host: &Host) -> Result<()> {
    let served: Vec<AgentName> = host.services.lock().await.keys().cloned().collect();
    let missing = host.session.directory.without_contract(&served).await?;
    restore(host, |name| !missing.contains(name)).await?;
    Ok(())
}

#[derive(Debug, PartialEq)]
enum Restored {
    None,
    Some,
}

/// Lists anew what is served and not `listed`. An agent that is leaving is not served any more.
async fn restore(host: &Host, listed: impl Fn(&AgentName) -> bool) -> Result<Restored> {
    let services = host.services.lock().await;
    let missing: Vec<_> = services
        .iter()
        .filter(|(name, _)| !listed(name))
        .map(|(_, service)| service.registration().clone())
        .collect();
    if missing.is_empty() {
        return Ok(Restored::None);
    }
    tracing::debug!(
        agents = missing.len(),
        "listing agents that this host serves"
    );
    host.session.directory.list(&missing).await?;
    Ok(Restored::Some)
}
