//! Questions about the connections of other processes: to the server, and to the instance records.

use std::time::Duration;

use async_nats::{HeaderMap, StatusCode};
use futures::StreamExt;
use openagentmesh_monitor::{Connections, Instance, Presence};
use openagentmesh_protocol::{ConnectionId, InstanceId, InstanceRecord, InstanceState, bucket};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::store::find_value;
use crate::transport::{Action, Connection};

/// The subject on which a server reports the connections of the requester's account.
pub(super) const CONNECTIONS: &str = "$SYS.REQ.ACCOUNT.PING.CONNZ";
/// The subject of a read of an instance record.
pub(super) const READ_RECORD: &str = "$JS.API.STREAM.MSG.GET.KV_mesh-instances";
/// The wait for the first answer to a question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// The wait for the answer of a further server.
const NEXT_ANSWER_TIMEOUT: Duration = Duration::from_millis(250);
/// The wait after a connection has gone, in which a host that reconnects writes its record again.
const RECONNECT_DELAY: Duration = Duration::from_millis(400);
/// The number of connections in one report, and of pages that are read of each server, at most.
const PAGE_CONNECTIONS: u64 = 1024;
const MAX_PAGES: u64 = 64;

/// The answer to the question whether an instance is gone.
pub(super) struct Looked {
    /// The connection that the instance's record names, if one is known.
    pub(super) connection: Option<ConnectionId>,
    /// The time after which the instance was gone; `None` if it lives, or the answer is not known.
    pub(super) gone_since: Option<Instant>,
}

/// The connection that the record of instance `id` names.
pub(super) async fn connection_of(
    connection: &Connection,
    id: &InstanceId,
) -> Option<ConnectionId> {
    record(connection, id).await.ok()??.connection()
}

/// Whether instance `id` is gone: the connection that its record names is gone, and the instance has not written
/// another record since. `known` is the connection that an earlier record named, for a record that was removed.
pub(super) async fn look(
    connection: &Connection,
    id: &InstanceId,
    known: Option<ConnectionId>,
) -> Looked {
    let mut looked = Looked {
        connection: known,
        gone_since: None,
    };
    let started = Instant::now();
    if confirm(connection, id, &mut looked.connection)
        .await
        .is_some()
    {
        looked.gone_since = Some(started);
    }
    looked
}

/// `None` unless the instance is gone.
async fn confirm(
    connection: &Connection,
    id: &InstanceId,
    known: &mut Option<ConnectionId>,
) -> Option<()> {
    let mut is_removed = reads_as_removed(connection, id, known).await?;
    absent(connection, id, known.as_ref()?).await?;
    if !is_removed {
        sleep(RECONNECT_DELAY).await;
        let before = known.clone();
        is_removed = reads_as_removed(connection, id, known).await?;
        if *known != before {
            absent(connection, id, known.as_ref()?).await?;
        }
    }
    // A record may be removed while its instance reconnects. The name is then a sign of life.
    if is_removed {
        return nameless(connection, id).await;
    }
    Some(())
}

/// Whether the record was removed, or says that the instance is dead. Updates the connection that the record names.
/// `None` if the record cannot be read.
async fn reads_as_removed(
    connection: &Connection,
    id: &InstanceId,
    known: &mut Option<ConnectionId>,
) -> Option<bool> {
    let Some(record) = record(connection, id).await.ok()? else {
        return Some(true);
    };
    // A record without a connection says nothing about the one that is known.
    if let Some(named) = record.connection() {
        *known = Some(named);
    }
    Some(record.state == Some(InstanceState::Dead))
}

async fn record(connection: &Connection, id: &InstanceId) -> Result<Option<InstanceRecord>, ()> {
    let jetstream = connection.jetstream();
    let read = find_value(&jetstream, bucket::INSTANCES, id.as_str());
    match timeout(ANSWER_TIMEOUT, read).await {
        Ok(Ok(Some(value))) => serde_json::from_slice(&value).map(Some).map_err(drop),
        Ok(Ok(None)) => Ok(None),
        Ok(Err(error)) => {
            tracing::debug!(%error, instance_id = %id, "an instance record cannot be read");
            Err(())
        }
        Err(_) => Err(()),
    }
}

/// `None` unless the server of connection `of` says that it is gone.
async fn absent(connection: &Connection, id: &InstanceId, of: &ConnectionId) -> Option<()> {
    let instance = instance(id, Some(of));
    let question = json!({"cid": of.client_id});
    let is_known = |connections: &Connections| connections.presence(&instance) != Presence::Unknown;
    let mut connections = Connections::default();
    ask(connection, &question, &mut connections, is_known).await?;
    (connections.presence(&instance) == Presence::Absent).then_some(())
}

/// `None` unless no live connection has the name of instance `id`.
async fn nameless(connection: &Connection, id: &InstanceId) -> Option<()> {
    let instance = instance(id, None);
    let is_known = |connections: &Connections| connections.presence(&instance) == Presence::Present;
    let mut connections = Connections::default();
    let mut offset = Some(0);
    for _ in 0..MAX_PAGES {
        let Some(from) = offset else { break };
        let question = json!({"limit": PAGE_CONNECTIONS, "offset": from, "sort": "cid"});
        offset = ask(connection, &question, &mut connections, is_known).await?;
        if is_known(&connections) {
            return None;
        }
    }
    // More connections than were read.
    offset.is_none().then_some(())
}

/// `None` unless the servers say that no connection subscribes to `subject`.
pub(super) async fn unserved(connection: &Connection, subject: &str) -> Option<()> {
    let question = json!({"filter_subject": subject, "subscriptions": true, "limit": 4});
    let is_known = |connections: &Connections| !connections.is_empty();
    let mut connections = Connections::default();
    ask(connection, &question, &mut connections, is_known).await?;
    connections.is_empty().then_some(())
}

fn instance(id: &InstanceId, connection: Option<&ConnectionId>) -> Instance {
    Instance {
        id: id.clone(),
        record: InstanceRecord {
            client_id: connection.map(|connection| connection.client_id),
            server_id: connection.map(|connection| connection.server_id.clone()),
            ..InstanceRecord::default()
        },
        revision: 0,
    }
}

/// Adds the answers of all servers to `connections`, until `is_enough`. Returns the highest offset of a next page, if
/// a server has one. `None` when no server answers.
async fn ask(
    connection: &Connection,
    question: &Value,
    connections: &mut Connections,
    is_enough: impl Fn(&Connections) -> bool,
) -> Option<Option<u64>> {
    let inbox = connection.client().new_inbox();
    let mut denied = connection
        .denials
        .watch(|denial| denial.denies(Action::Publish, CONNECTIONS));
    let mut answers = connection.subscribe_once(inbox.clone()).await.ok()?;
    let body = question.to_string().into();
    let asked =
        connection
            .publisher
            .publish(CONNECTIONS, Some(inbox.into()), HeaderMap::new(), body);
    asked.await.ok()?;
    let (mut wait, mut next, mut is_answered) = (ANSWER_TIMEOUT, None, false);
    loop {
        let answer = tokio::select! {
            biased;
            _ = denied.denied() => return None,
            answer = timeout(wait, answers.next()) => answer,
        };
        match answer {
            Ok(Some(answer)) if answer.status == Some(StatusCode::NO_RESPONDERS) => return None,
            Ok(Some(answer)) => match connections.add(&answer.payload) {
                Ok(page) => {
                    is_answered = true;
                    next = next.max(page);
                    wait = NEXT_ANSWER_TIMEOUT;
                    if is_enough(connections) {
                        return Some(next);
                    }
                }
                Err(error) => tracing::debug!(%error, "no answer about connections"),
            },
            Ok(None) | Err(_) => break,
        }
    }
    is_answered.then_some(next)
}
