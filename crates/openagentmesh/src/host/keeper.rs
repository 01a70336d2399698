//! Keeping what is served listed: others may take an entry off the catalog that this host still
//! serves (another host of the same agent that leaves), and a server may come back without what
//! it had stored.

use std::sync::Arc;
use std::time::Duration;

use openagentmesh_protocol::AgentName;
use tokio::time::Instant;

use super::Host;
use crate::error::Result;

/// How long to wait before the mesh is looked at again after that failed.
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

async fn keep(host: Arc<Host>) {
    let mut reconnections = host.connection.watch_reconnections();
    loop {
        reconnections.mark_unchanged();
        let watched = tokio::select! {
            watched = watch(&host) => watched,
            // Whatever was under way is about a server that is gone.
            found_again = reconnections.changed() => match found_again {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        if let Err(error) = watched {
            tracing::debug!(%error, "the catalog cannot be watched now");
        }
        tokio::time::timeout(RETRY, reconnections.changed())
            .await
            .ok();
    }
}

/// Watches the catalog until that fails.
async fn watch(host: &Host) -> Result<()> {
    let mut changes = host.directory.watch_names().await?;
    // A catalog that lost everything has nothing to send.
    let mut listed = host.directory.names().await?;
    let mut second_look = None;
    loop {
        if restore(host, |name| listed.contains(name.as_str())).await? == Restored::Some {
            second_look = Some(Instant::now() + SECOND_LOOK);
        }
        let due = second_look.unwrap_or_else(|| Instant::now() + NEVER);
        match tokio::time::timeout_at(due, changes.next()).await {
            Ok(Some(names)) => listed = names?,
            Ok(None) => return Ok(()),
            Err(_) => {
                second_look = None;
                let served: Vec<AgentName> = host.services.lock().await.keys().cloned().collect();
                let missing = host.directory.without_contract(&served).await?;
                restore(host, |name| !missing.contains(name)).await?;
            }
        }
    }
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
        .map(|(_, service)| service.contract().clone())
        .collect();
    if missing.is_empty() {
        return Ok(Restored::None);
    }
    tracing::debug!(
        agents = missing.len(),
        "listing agents that this host serves"
    );
    host.directory.add(&missing).await?;
    Ok(Restored::Some)
}
