//! The instance record of this process, which is renewed while the process serves agents.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openagentmesh_monitor as monitor;
use openagentmesh_protocol::{AgentName, ErrorCode, InstanceId, InstanceRecord, InstanceState};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use super::records::Records;
use crate::error::Error;
use crate::transport::Connection;

/// The time without a renewal after which a process counts as dead, if the program does not set another.
pub(crate) const DEFAULT_LEASE: Duration = Duration::from_secs(4);
/// The bounds of a lease that the program sets.
pub(crate) const MIN_LEASE: Duration = Duration::from_secs(1);
pub(crate) const MAX_LEASE: Duration = Duration::from_secs(60 * 60);

/// The number of renewals within one lease.
const RENEWALS: u32 = 3;
/// The time between renewals that the server does not permit.
const DENIED_DELAY: Duration = Duration::from_secs(60);
/// Name and version of the SDK.
const SDK: &str = concat!("rust/", env!("CARGO_PKG_VERSION"));

/// The instance record of this process.
pub(crate) struct InstanceLease {
    records: Arc<Records>,
    connection: Connection,
    id: InstanceId,
    lease: Duration,
    /// Locked while the record is written or removed, so that the last write has the last state.
    state: Mutex<State>,
    /// Whether the last write failed, which was logged.
    has_failed: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The number of services of each agent. An agent that is registered again while its last service drains has two.
    agents: BTreeMap<AgentName, usize>,
    is_draining: bool,
    started_at: Option<String>,
    /// Whether the bucket may have the record.
    is_written: bool,
    /// The time before which no renewal is attempted.
    denied_until: Option<Instant>,
}

impl InstanceLease {
    pub(crate) fn new(
        connection: &Connection,
        records: &Arc<Records>,
        id: &InstanceId,
        lease: Duration,
    ) -> Self {
        Self {
            records: Arc::clone(records),
            connection: connection.clone(),
            id: id.clone(),
            lease,
            state: Mutex::default(),
            has_failed: AtomicBool::new(false),
        }
    }

    /// Adds `agents` to the record. To be called before they are listed: from then on, no monitor removes the entry of
    /// an instance that has served them before. A record that cannot be written is logged.
    pub(crate) async fn add(&self, agents: impl IntoIterator<Item = AgentName>) {
        let mut state = self.state.lock().await;
        for agent in agents {
            *state.agents.entry(agent).or_default() += 1;
        }
        state.is_draining = false;
        state.started_at.get_or_insert_with(now);
        self.write(&mut state).await;
    }

    /// Marks the process as one that finishes its last requests.
    pub(crate) async fn drain(&self) {
        let mut state = self.state.lock().await;
        state.is_draining = true;
        self.write(&mut state).await;
    }

    /// Removes `agents` from the record, and the record with the last one. Returns this instance as it is stored no
    /// longer, for [`monitor::remove_agents`].
    pub(crate) async fn remove(&self, agents: &[AgentName]) -> monitor::Instance {
        let mut state = self.state.lock().await;
        let record = self.record(&state);
        for agent in agents {
            if let Some(count) = state.agents.get_mut(agent) {
                *count -= 1;
                if *count == 0 {
                    state.agents.remove(agent);
                }
            }
        }
        if !state.agents.is_empty() {
            self.write(&mut state).await;
        } else if state.is_written {
            match self.records.remove(&self.id, None).await {
                Ok(_) => state.is_written = false,
                Err(error) => self.report(&error, "the instance record is not removed"),
            }
        }
        monitor::Instance {
            id: self.id.clone(),
            record,
            revision: 0,
        }
    }

    /// Renews the record every third of the lease and after each reconnection. Runs without end. Cancel-safe.
    pub(crate) async fn renew(&self) {
        let mut reconnections = self.connection.watch_reconnections();
        loop {
            let next = Instant::now() + self.lease / RENEWALS;
            let is_reconnected = tokio::select! {
                changed = reconnections.changed() => match changed {
                    Ok(()) => true,
                    // The connection is closed.
                    Err(_) => return std::future::pending().await,
                },
                () = sleep_until(next) => false,
            };
            let mut state = self.state.lock().await;
            let is_denied = !is_reconnected
                && state
                    .denied_until
                    .is_some_and(|until| Instant::now() < until);
            if !state.agents.is_empty() && !is_denied {
                self.write(&mut state).await;
            }
        }
    }

    async fn write(&self, state: &mut State) {
        if state.agents.is_empty() {
            return;
        }
        let written = self.records.put(&self.id, &self.record(state)).await;
        state.is_written |= !matches!(&written, Err(error) if is_denied(error));
        match written {
            Ok(()) => {
                self.has_failed.store(false, Ordering::Relaxed);
                state.denied_until = None;
            }
            Err(error) => {
                if is_denied(&error) {
                    state.denied_until = Some(Instant::now() + DENIED_DELAY);
                }
                self.report(
                    &error,
                    "the instance record is not written: other processes cannot know that this one is alive",
                );
            }
        }
    }

    /// Logs the first of several failures as a warning.
    fn report(&self, error: &Error, consequence: &str) {
        if self.has_failed.swap(true, Ordering::Relaxed) {
            tracing::debug!(%error, "{consequence}");
        } else {
            tracing::warn!(%error, "{consequence}");
        }
    }

    fn record(&self, state: &State) -> InstanceRecord {
        let server = self.connection.client().server_info();
        InstanceRecord {
            agents: state.agents.keys().cloned().collect(),
            lease_ms: u64::try_from(self.lease.as_millis()).ok(),
            renewed_at: Some(now()),
            started_at: state.started_at.clone(),
            state: Some(if state.is_draining {
                InstanceState::Draining
            } else {
                InstanceState::Serving
            }),
            client_id: Some(server.client_id),
            server_id: Some(server.server_id),
            sdk: Some(SDK.to_owned()),
        }
    }
}

fn is_denied(error: &Error) -> bool {
    error.code() == &ErrorCode::ConnectionDenied
}

fn now() -> String {
    // The format fails only for years beyond 9999.
    OffsetDateTime::now_utc()
        .format(&Rfc3339)
        .unwrap_or_default()
}
