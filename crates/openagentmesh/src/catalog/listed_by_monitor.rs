//! Hosts that may not write the catalog: a monitor lists what their records and contracts say.

use std::time::Duration;

use openagentmesh_protocol::bucket::{CATALOG, CATALOG_KEY};
use openagentmesh_protocol::{ErrorCode, subject};
use tokio::time::timeout;

use super::directory::Directory;
use super::registration::Registration;
use super::snapshot::CatalogSnapshot;
use crate::error::{Error, Result};

/// The limit of the wait for a monitor to list agents.
const LISTING_TIMEOUT: Duration = Duration::from_secs(10);

impl Directory {
    /// Whether this process may not write the catalog, so that a monitor lists its agents.
    pub(crate) fn is_listed_by_monitor(&self) -> bool {
        self.connection().denials.is_catalog_denied()
    }

    /// Waits until the catalog has `agents`, whose contracts and whose record are written.
    ///
    /// # Errors
    ///
    /// `connection_denied` when no monitor lists them in time.
    pub(super) async fn await_listing(&self, agents: &[Registration]) -> Result<()> {
        let mut catalog = self.follow();
        let listed = async {
            loop {
                let state = catalog.current();
                if let Some(snapshot) = state.snapshot()
                    && self.lists_all(agents, snapshot).await?
                {
                    return Ok(());
                }
                catalog.changed().await;
            }
        };
        let listed = timeout(LISTING_TIMEOUT, listed).await;
        listed.unwrap_or_else(|_| Err(not_listed(agents)))
    }

    /// Whether `snapshot` has the entries of `agents`, or later ones of other hosts of the same agents.
    async fn lists_all(&self, agents: &[Registration], snapshot: &CatalogSnapshot) -> Result<bool> {
        for agent in agents {
            let is_listed = snapshot.says(agent.entry())
                || (snapshot.has(agent.name()) && self.is_replaced(agent, snapshot).await?);
            if !is_listed {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn not_listed(agents: &[Registration]) -> Error {
    let names: Vec<&str> = agents
        .iter()
        .take(3)
        .map(|agent| agent.name().as_str())
        .collect();
    let more = if agents.len() > names.len() {
        ", …"
    } else {
        ""
    };
    let subject = subject::kv(CATALOG, CATALOG_KEY);
    let message = format!(
        "connection denied: the server does not permit this user to publish to '{subject}', and no monitor has listed \
         '{}'{more} within {} s; run `oam mesh monitor`, which lists the agents",
        names.join("', '"),
        LISTING_TIMEOUT.as_secs()
    );
    Error::raised(ErrorCode::ConnectionDenied, message)
        .with_detail("operation", "publish")
        .with_detail("subject", subject)
}
