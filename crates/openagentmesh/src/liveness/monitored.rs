//! The mesh as the monitor of this process sees it.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use openagentmesh_monitor::{Connections, Held, Instance, Listed, Listing, Mesh, Notice};
use openagentmesh_protocol::bucket::{LEASES, MONITOR_KEY};
use openagentmesh_protocol::{AgentName, ErrorCode, InstanceId, InstanceRecord, subject};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::connections::LiveConnections;
use super::monitor_event::Observer;
use super::records::{self, Records};
use crate::catalog::Directory;
use crate::error::{Error, Result};
use crate::store::KvBucket;
use crate::transport::Connection;
use crate::util::backoff::Backoff;
use crate::util::sync::Mutex;

/// The back-off after a lost compare-and-swap of the catalog.
const FIRST_DELAY: Duration = Duration::from_millis(4);
const MAX_DELAY: Duration = Duration::from_millis(250);
/// The time for which the lease is left alone after the server did not permit its use.
const DENIED_DELAY: Duration = Duration::from_secs(60);

/// The operations of a mesh that its monitor needs.
pub(crate) struct MonitoredMesh {
    records: Arc<Records>,
    live: Arc<LiveConnections>,
    directory: Arc<Directory>,
    leases: KvBucket,
    connection: Connection,
    /// Between attempts to remove agents from the catalog.
    backoff: Mutex<Backoff>,
    /// The time until which the lease is left alone.
    denied_until: Mutex<Option<Instant>>,
    observer: Observer,
}

/// The value of the monitor's lease.
#[derive(Serialize, Deserialize)]
struct LeaseValue {
    holder: String,
}

/// The process that a value of the monitor's lease names; `None` for a malformed value.
pub(super) fn lease_holder(json: &[u8]) -> Option<InstanceId> {
    let value: LeaseValue = serde_json::from_slice(json).ok()?;
    InstanceId::parse(value.holder).ok()
}

impl MonitoredMesh {
    pub(crate) fn new(
        connection: &Connection,
        records: &Arc<Records>,
        live: &Arc<LiveConnections>,
        directory: &Arc<Directory>,
    ) -> Self {
        Self {
            records: Arc::clone(records),
            live: Arc::clone(live),
            directory: Arc::clone(directory),
            leases: KvBucket::new(connection.clone(), LEASES),
            connection: connection.clone(),
            backoff: Mutex::new(Backoff::new(FIRST_DELAY, MAX_DELAY)),
            denied_until: Mutex::new(None),
            observer: Observer::default(),
        }
    }

    /// The same mesh, whose monitor's events `observer` receives.
    pub(crate) fn observed_by(self, observer: Observer) -> Self {
        Self { observer, ..self }
    }

    pub(super) fn observer(&self) -> &Observer {
        &self.observer
    }

    /// Runs an operation of the lease, unless the server has not permitted one recently.
    async fn with_lease<T>(&self, operation: impl Future<Output = Result<T>>) -> Result<T> {
        let now = Instant::now();
        if self.denied_until.lock().is_some_and(|until| now < until) {
            return Err(Error::raised(
                ErrorCode::ConnectionDenied,
                "the server has not permitted the use of the monitor's lease",
            ));
        }
        let done = operation.await;
        if let Err(error) = &done
            && error.code() == &ErrorCode::ConnectionDenied
        {
            tracing::debug!(%error, "this process cannot be the monitor of the mesh");
            *self.denied_until.lock() = Some(Instant::now() + DENIED_DELAY);
        }
        done
    }

    /// Asks the server whether this process, with id `own`, may be the monitor. Nothing is written: no lease has such a
    /// revision.
    ///
    /// # Errors
    ///
    /// `connection_denied` when the server does not permit to read or write the lease. All other problems may end: another
    /// process may create the bucket later.
    pub(crate) async fn check_permission(&self, own: &InstanceId) -> Result<()> {
        const NO_REVISION: u64 = i64::MAX as u64;
        const CREATE: &str = "$JS.API.STREAM.CREATE.";
        let Err(error) = self.try_write_lease(own, NO_REVISION).await else {
            return Ok(());
        };
        let denied = error.details().get("subject");
        let denied = denied.and_then(|subject| subject.as_str());
        match denied.is_some_and(|subject| !subject.starts_with(CREATE)) {
            true if error.code() == &ErrorCode::ConnectionDenied => Err(error),
            _ => Ok(()),
        }
    }

    async fn read_lease(&self) -> Result<Option<Held>> {
        let Some(stored) = self.leases.read(MONITOR_KEY).await? else {
            return Ok(None);
        };
        let holder = stored.value.as_deref().and_then(lease_holder);
        Ok(holder.map(|holder| Held {
            holder,
            revision: stored.revision,
        }))
    }

    async fn try_write_lease(&self, holder: &InstanceId, revision: u64) -> Result<Option<u64>> {
        let value = LeaseValue {
            holder: holder.to_string(),
        };
        let value = serde_json::to_vec(&value).map_err(|error| {
            let message = format!("cannot write the monitor's lease as JSON: {error}");
            Error::raised(ErrorCode::InvalidInput, message).with_source(error)
        })?;
        let update = |revision| {
            self.leases
                .update(MONITOR_KEY, value.clone().into(), revision)
        };
        let mut written = update(revision).await?;
        if revision == 0
            && written.is_err()
            && self.read_lease().await?.is_none()
            && let Some(stored) = self.leases.read(MONITOR_KEY).await?
        {
            // A deletion marker, or a malformed value.
            written = update(stored.revision).await?;
        }
        match written {
            Ok(revision) => Ok(Some(revision)),
            Err(error) if error.is_wrong_revision() => Ok(None),
            Err(error) => Err(error.into_error("write", LEASES)),
        }
    }
}

impl Mesh for MonitoredMesh {
    type Error = Error;

    async fn instances(&self) -> Result<Vec<Instance>> {
        self.records.all().await
    }

    async fn instance(&self, id: &InstanceId) -> Result<Option<Instance>> {
        self.records.one(id).await
    }

    async fn listing(&self) -> Result<Listing> {
        let (document, revision) = self.directory.listing().await?;
        let agents = document.listed_texts().filter_map(|(name, _)| {
            let capabilities = document.capabilities(name)?;
            Some(Listed {
                name: AgentName::new(name).ok()?,
                invocable: capabilities.invocable,
            })
        });
        Ok(Listing {
            agents: agents.collect(),
            revision,
        })
    }

    async fn connections(&self, client_id: Option<u64>) -> Result<Connections> {
        match client_id {
            Some(client_id) => self.live.one(client_id).await,
            None => self.live.all().await,
        }
    }

    async fn subscribers(&self, agent: &AgentName) -> Result<Connections> {
        self.live.of_agent(agent).await
    }

    async fn write_instance(
        &self,
        id: &InstanceId,
        record: &InstanceRecord,
        revision: u64,
    ) -> Result<Option<u64>> {
        self.records.update(id, record, revision).await
    }

    async fn remove_instance(&self, id: &InstanceId, revision: u64) -> Result<bool> {
        self.records.remove(id, Some(revision)).await
    }

    async fn remove_agents(&self, agents: &[AgentName], revision: u64) -> Result<bool> {
        let is_removed = self.directory.remove_at(agents, revision).await?;
        if is_removed {
            self.backoff.lock().reset();
        } else {
            let delay = self.backoff.lock().next_delay();
            sleep(delay).await;
        }
        Ok(is_removed)
    }

    async fn announce(&self, notice: &Notice) -> Result<()> {
        self.observer.announces(notice);
        let (subject, json) = match notice {
            Notice::InstanceDown(notice) => {
                let subject = subject::instance_down(&notice.instance_id);
                (subject, serde_json::to_vec(notice))
            }
            Notice::Death(notice) => (subject::death(&notice.agent), serde_json::to_vec(notice)),
        };
        let json = json.map_err(|error| {
            let message = format!("cannot write a notice as JSON: {error}");
            Error::raised(ErrorCode::InvalidInput, message).with_source(error)
        })?;
        let publisher = &self.connection.publisher;
        publisher
            .publish(subject, None, HeaderMap::new(), json.into())
            .await
    }

    async fn lease(&self) -> Result<Option<Held>> {
        let held = self.with_lease(self.read_lease()).await?;
        held.iter()
            .for_each(|held| self.observer.is_active(&held.holder));
        Ok(held)
    }

    async fn write_lease(&self, holder: &InstanceId, revision: u64) -> Result<Option<u64>> {
        let write = self.try_write_lease(holder, revision);
        let written = self.with_lease(write).await?;
        if written.is_some() {
            self.observer.is_active(holder);
        }
        Ok(written)
    }

    async fn remove_lease(&self, revision: u64) -> Result<bool> {
        records::remove(&self.leases, MONITOR_KEY, Some(revision)).await
    }
}
