//! Whether a process or an agent is gone, by the instance records and the connections at the server.

use std::sync::Arc;
use std::time::Duration;

use openagentmesh_monitor::{Connections, Instance, Presence};
use openagentmesh_protocol::{AgentName, ConnectionId, InstanceId, InstanceRecord, InstanceState};
use tokio::time::{Instant, sleep};

use crate::error::Result;
use crate::liveness::{LiveConnections, Records};

/// The wait after a connection has gone, in which a host that reconnects writes its record again.
const RECONNECT_DELAY: Duration = Duration::from_millis(400);

/// Asks for the records and the connections of other processes.
#[derive(Clone)]
pub(super) struct Questions {
    pub(super) records: Arc<Records>,
    pub(super) live: Arc<LiveConnections>,
}

/// The answer to the question whether an instance is gone.
pub(super) struct Looked {
    /// The connection that the instance's record names, if one is known.
    pub(super) connection: Option<ConnectionId>,
    pub(super) state: State,
}

/// The state of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It lives, or the answer is not known.
    Living,
    /// Its connection was gone at this time.
    Gone(Instant),
    /// A monitor has removed its record, and its connection lives: it is frozen, unless it has sent a probe since.
    Removed,
}

/// The requests to an agent that were not probed, after one of its instances is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Orphans {
    /// A living host may have them.
    None,
    /// They were with the instance, which is gone.
    OfGone,
    /// They are with the instance, which the server still delivers requests to.
    OfFrozen,
}

impl Questions {
    /// The connection that the record of instance `id` names; `None` also if the record cannot be read.
    pub(super) async fn connection_of(&self, id: &InstanceId) -> Option<ConnectionId> {
        let read = self.records.one(id).await;
        known(read)??.record.connection()
    }

    /// Whether instance `id` is gone: the connection that its record names is gone, and the instance has not written
    /// another record since. `connection` is the one that an earlier record named, for a record that was removed.
    pub(super) async fn look(&self, id: &InstanceId, connection: Option<ConnectionId>) -> Looked {
        let started = Instant::now();
        let mut named = connection;
        let state = known(self.state(id, started, &mut named).await);
        Looked {
            connection: named,
            state: state.unwrap_or(State::Living),
        }
    }

    async fn state(
        &self,
        id: &InstanceId,
        started: Instant,
        named: &mut Option<ConnectionId>,
    ) -> Result<State> {
        let mut is_removed = self.reads_as_removed(id, named).await?;
        if !self.is_absent(id, named.as_ref()).await? {
            return Ok(match is_removed {
                true => State::Removed,
                false => State::Living,
            });
        }
        if !is_removed {
            sleep(RECONNECT_DELAY).await;
            let before = named.clone();
            is_removed = self.reads_as_removed(id, named).await?;
            if *named != before && !self.is_absent(id, named.as_ref()).await? {
                return Ok(State::Living);
            }
        }
        // A record may be removed while its instance reconnects. The name is then a sign of life.
        if is_removed && !self.is_nameless(id).await? {
            return Ok(State::Living);
        }
        Ok(State::Gone(started))
    }

    /// Whether the record was removed, or says that the instance is dead. Updates the connection that the record names.
    async fn reads_as_removed(
        &self,
        id: &InstanceId,
        named: &mut Option<ConnectionId>,
    ) -> Result<bool> {
        let Some(instance) = self.records.one(id).await? else {
            return Ok(true);
        };
        // A record without a connection says nothing about the one that is known.
        if let Some(connection) = instance.record.connection() {
            *named = Some(connection);
        }
        Ok(instance.record.state == Some(InstanceState::Dead))
    }

    /// Whether the server of `connection` says that it is gone.
    async fn is_absent(&self, id: &InstanceId, connection: Option<&ConnectionId>) -> Result<bool> {
        let Some(connection) = connection else {
            return Ok(false);
        };
        let found = self.live.one(connection.client_id).await?;
        Ok(presence(&found, id, Some(connection)) == Presence::Absent)
    }

    /// Whether no live connection has the name of instance `id`.
    async fn is_nameless(&self, id: &InstanceId) -> Result<bool> {
        let found = self.live.all().await?;
        Ok(presence(&found, id, None) != Presence::Present)
    }

    /// Whether a living host of `agent` may have a request that was not probed, after a notice that instance `gone` is
    /// down. None has it if the record of `gone` confirms it, all other instances that serve the agent are connected, and so is no other
    /// host of the agent. Hosts that keep a record probe their requests.
    pub(super) async fn orphans(&self, gone: &InstanceId, agent: &AgentName) -> Orphans {
        let only_known = async {
            if let Some(instance) = self.records.one(gone).await?
                && instance.record.state != Some(InstanceState::Dead)
            {
                return Ok(Orphans::None);
            }
            let subscribers = self.live.all_of_agent(agent).await?;
            let instances = self.records.all().await?;
            let hosts = instances
                .iter()
                .filter(|instance| instance.id != *gone && instance.record.agents.contains(agent));
            Ok(match subscribers.are_those_of(hosts, gone) {
                true if subscribers.has_client(gone) => Orphans::OfFrozen,
                true => Orphans::OfGone,
                false => Orphans::None,
            })
        };
        known(only_known.await).unwrap_or(Orphans::None)
    }

    /// Whether the servers say that no connection subscribes to the requests of `agent`.
    pub(super) async fn is_unserved(&self, agent: &AgentName) -> bool {
        let subscribers = self.live.of_agent(agent).await;
        known(subscribers).is_some_and(|subscribers| subscribers.is_empty())
    }
}

/// An answer; `None` if there is none.
fn known<T>(answer: Result<T>) -> Option<T> {
    answer
        .inspect_err(|error| tracing::debug!(%error, "it is not known whether a host is alive"))
        .ok()
}

fn presence(found: &Connections, id: &InstanceId, connection: Option<&ConnectionId>) -> Presence {
    found.presence(&Instance {
        id: id.clone(),
        record: InstanceRecord {
            client_id: connection.map(|connection| connection.client_id),
            server_id: connection.map(|connection| connection.server_id.clone()),
            ..InstanceRecord::default()
        },
        revision: 0,
    })
}
