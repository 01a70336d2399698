//! Lists the agents of hosts that may not write the catalog.
//!
//! Such a host writes its contracts and its instance record alone, which nobody else may write. An agent is listed while
//! it has a contract and an instance serves it. On a mesh whose hosts write the catalog, their entries say the same, and
//! nothing is written here.

use std::collections::BTreeSet;
use std::time::Duration;

use openagentmesh_protocol::{AgentName, CatalogEntry, ErrorCode};

use super::records::Records;
use crate::catalog::{Directory, Follower};
use crate::error::Result;
use crate::store::{Mirror, Reflection};
use crate::util::backoff::Backoff;

/// The bounds of the back-off after a failure.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(30);

/// Lists agents until the connection is closed, or the server has denied it.
pub(crate) async fn list_agents(directory: &Directory, records: &Records) {
    let mut backoff = Backoff::new(FIRST_DELAY, MAX_DELAY);
    loop {
        let error = match Lister::open(directory, records).await {
            Ok(mut lister) => match lister.run(&mut backoff).await {
                Ok(()) => return,
                Err(error) => error,
            },
            Err(error) => error,
        };
        if error.code() == &ErrorCode::ConnectionDenied {
            tracing::debug!(%error, "this monitor lists no agents");
            return;
        }
        tracing::debug!(%error, "agents are listed later");
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

/// The contracts and the served agents of the mesh.
struct Lister<'d> {
    directory: &'d Directory,
    catalog: Follower,
    registered: Mirror<CatalogEntry>,
    served: Mirror<BTreeSet<AgentName>>,
    /// The listed agents that have a contract, also those whose instance is gone.
    known: BTreeSet<AgentName>,
}

impl<'d> Lister<'d> {
    async fn open(directory: &'d Directory, records: &Records) -> Result<Self> {
        Ok(Self {
            directory,
            catalog: directory.follow(),
            registered: directory.registered().await?,
            served: records.served().await?,
            known: BTreeSet::new(),
        })
    }

    /// Returns when the connection is closed.
    async fn run(&mut self, backoff: &mut Backoff) -> Result<()> {
        loop {
            if self.registered.is_complete() && self.served.is_complete() {
                self.list().await?;
                backoff.reset();
            }
            let event = tokio::select! {
                event = self.registered.next() => event,
                event = self.served.next() => event,
                // Another writer may have removed or changed what is listed.
                () = self.catalog.changed() => Some(Reflection::Changed),
            };
            match event {
                None => return Ok(()),
                Some(Reflection::Denied(error)) => return Err(error),
                Some(Reflection::Changed | Reflection::Current) => {}
            }
        }
    }

    /// Lists the agents that have a contract and an instance, and removes those whose contract is gone. A stored value that
    /// is no catalog is replaced first.
    async fn list(&mut self) -> Result<()> {
        if self.directory.problem().await?.is_some() {
            self.directory.repair().await?;
        }
        let contract = |name: &AgentName| self.registered.get(name.as_str());
        let served: BTreeSet<&AgentName> = self.served.values().flatten().collect();
        let listed = served.into_iter().filter(|name| contract(name).is_some());
        let listed: BTreeSet<AgentName> = listed.cloned().collect();
        let entries: Vec<CatalogEntry> = listed.iter().filter_map(contract).cloned().collect();
        let left = self.known.iter().filter(|name| contract(name).is_none());
        let left: Vec<AgentName> = left.cloned().collect();
        self.directory.keep_listed(&entries, &left).await?;
        self.known.extend(listed);
        self.known
            .retain(|name| self.registered.get(name.as_str()).is_some());
        Ok(())
    }
}
