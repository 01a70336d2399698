//! The live connections of the mesh's account, as its servers report them.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::{HeaderMap, StatusCode};
use futures::StreamExt;
use openagentmesh_monitor::Connections;
use openagentmesh_protocol::{AgentName, ErrorCode, subject};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::{Error, Result};
use crate::transport::{Action, Connection};
use crate::util::sync::Mutex;

/// The subject of questions for the connections of the account that asks. Each server answers once.
pub(crate) const CONNECTIONS_SUBJECT: &str = "$SYS.REQ.ACCOUNT.PING.CONNZ";
/// The subject of questions for the statistics of the account that asks, with the number of its leaf nodes.
const STATISTICS_SUBJECT: &str = "$SYS.REQ.ACCOUNT.PING.STATZ";
/// The time for which the answer about leaf nodes counts.
const LEAF_NODES_TTL: Duration = Duration::from_secs(5);
/// The limit of the first answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The time without a further answer of a cluster after which the question ends.
const QUIET_TIME: Duration = Duration::from_millis(200);
/// The limit of all answers.
const ANSWERS_TIMEOUT: Duration = Duration::from_secs(4);
/// The number of connections that one answer reports.
const PAGE_SIZE: u64 = 512;
/// The number of pages of one question.
const MAX_PAGES: u64 = 128;
/// The number of connections of one agent that are reported. One more than that of the instance in question suffices,
/// but the report has connections that only listen, too.
const MAX_SUBSCRIBERS: u64 = 512;
/// The time for which no question is sent after the servers refused one.
const REFUSED_DELAY: Duration = Duration::from_secs(60);
/// The time for which no question is sent after one was not answered.
const UNANSWERED_DELAY: Duration = Duration::from_secs(5);

/// Asks the servers of the mesh for live connections.
pub(crate) struct LiveConnections {
    connection: Connection,
    /// By subject: after a failure, the time until which no question is sent by this connection.
    closed: Mutex<BTreeMap<&'static str, Closed>>,
    /// Whether the account has leaf nodes, and the time of the answer.
    leaf_nodes: tokio::sync::Mutex<Option<(Instant, bool)>>,
}

/// The consequence of a question that failed.
#[derive(Clone, Copy)]
struct Closed {
    until: Instant,
    /// The number of reconnections at the time of the question. Another server may answer.
    reconnections: u64,
}

#[derive(Deserialize)]
struct Statistics {
    data: AccountStatistics,
}

#[derive(Deserialize)]
struct AccountStatistics {
    account_statz: Vec<AccountNumbers>,
}

#[derive(Deserialize)]
struct AccountNumbers {
    leafnodes: u64,
}

impl LiveConnections {
    pub(crate) fn new(connection: &Connection) -> Self {
        Self {
            connection: connection.clone(),
            closed: Mutex::default(),
            leaf_nodes: tokio::sync::Mutex::default(),
        }
    }

    /// The connection with `client_id` at each server.
    ///
    /// # Errors
    ///
    /// `connection_denied` when the server does not permit the question; `connection_failed` when no server answers.
    pub(crate) async fn one(&self, client_id: u64) -> Result<Connections> {
        let mut connections = Connections::default();
        self.add(&json!({"cid": client_id}), &mut connections)
            .await?;
        Ok(connections)
    }

    /// Connections that serve `agent`, if there are any.
    ///
    /// # Errors
    ///
    /// Those of [`one`](Self::one), and `connection_failed` when no connection serves it and the account has leaf nodes:
    /// connections to their servers are not reported.
    pub(crate) async fn of_agent(&self, agent: &AgentName) -> Result<Connections> {
        let mut connections = Connections::default();
        self.add_hosts(agent, MAX_SUBSCRIBERS, &mut connections)
            .await?;
        if connections.is_empty() && self.has_leaf_nodes().await? {
            return Err(failed("a leaf node may have the connection"));
        }
        Ok(connections)
    }

    /// All connections that serve `agent`.
    ///
    /// # Errors
    ///
    /// Those of [`one`](Self::one), and `connection_failed` when there are more than the limit, or the account has leaf
    /// nodes.
    pub(crate) async fn all_of_agent(&self, agent: &AgentName) -> Result<Connections> {
        let mut connections = Connections::default();
        let reported = self.add_hosts(agent, PAGE_SIZE, &mut connections).await?;
        // The total that a server reports is that of all connections.
        if reported >= PAGE_SIZE {
            return Err(failed("too many hosts of the agent"));
        }
        if self.has_leaf_nodes().await? {
            return Err(failed("a leaf node may have a connection"));
        }
        Ok(connections)
    }

    /// All connections.
    ///
    /// # Errors
    ///
    /// Those of [`one`](Self::one), and `connection_failed` when there are more than the limit.
    pub(crate) async fn all(&self) -> Result<Connections> {
        let mut connections = Connections::default();
        for page in 0..MAX_PAGES {
            let question = json!({"limit": PAGE_SIZE, "offset": page * PAGE_SIZE, "sort": "cid"});
            if !self.add(&question, &mut connections).await? {
                // How many servers a cluster has is not known.
                if self.is_single_server() {
                    connections.set_complete();
                }
                return Ok(connections);
            }
        }
        Err(failed("too many connections"))
    }

    /// Adds the answers to `question` to `connections`. Returns whether a server has more.
    async fn add(&self, question: &Value, connections: &mut Connections) -> Result<bool> {
        let mut has_more = false;
        let add = |answer: &[u8]| {
            has_more |= connections.add(answer).map_err(invalid)?.is_some();
            Ok(())
        };
        self.ask(CONNECTIONS_SUBJECT, question, add).await?;
        Ok(has_more)
    }

    /// Adds up to `limit` connections of each server that serve `agent`. Returns the largest number of connections that
    /// a server has reported, with those that listen.
    async fn add_hosts(
        &self,
        agent: &AgentName,
        limit: u64,
        connections: &mut Connections,
    ) -> Result<u64> {
        let subject = subject::agent(agent);
        let question = json!({"filter_subject": subject, "subscriptions": true, "limit": limit});
        let mut reported = 0;
        let add = |answer: &[u8]| {
            let next = connections.add_hosts(answer, &subject).map_err(invalid)?;
            reported = reported.max(next.unwrap_or(0));
            Ok(())
        };
        self.ask(CONNECTIONS_SUBJECT, &question, add).await?;
        Ok(reported)
    }

    async fn has_leaf_nodes(&self) -> Result<bool> {
        // Concurrent questions are asked once.
        let mut known = self.leaf_nodes.lock().await;
        if let Some((at, has_leaf_nodes)) = *known
            && at.elapsed() < LEAF_NODES_TTL
        {
            return Ok(has_leaf_nodes);
        }
        let mut has_leaf_nodes = false;
        let count = |answer: &[u8]| {
            let statistics: Statistics = serde_json::from_slice(answer).map_err(invalid)?;
            let mut accounts = statistics.data.account_statz.iter();
            has_leaf_nodes |= accounts.any(|account| account.leafnodes > 0);
            Ok(())
        };
        self.ask(STATISTICS_SUBJECT, &json!({}), count).await?;
        *known = Some((Instant::now(), has_leaf_nodes));
        Ok(has_leaf_nodes)
    }

    /// Passes the answers to `question` on `subject` to `receive`.
    async fn ask(
        &self,
        subject: &'static str,
        question: &Value,
        receive: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let reconnections = self.connection.reconnections();
        let closed = self.closed.lock().get(subject).copied();
        if closed.is_some_and(|closed| {
            closed.reconnections == reconnections && Instant::now() < closed.until
        }) {
            return Err(failed("the last question failed"));
        }
        let asked = self.collect(subject, question, receive).await;
        if let Err(error) = &asked {
            let delay = if error.code() == &ErrorCode::ConnectionDenied {
                REFUSED_DELAY
            } else {
                UNANSWERED_DELAY
            };
            let closed = Closed {
                until: Instant::now() + delay,
                reconnections,
            };
            self.closed.lock().insert(subject, closed);
        }
        asked
    }

    async fn collect(
        &self,
        subject: &'static str,
        question: &Value,
        mut receive: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let is_single = self.is_single_server();
        let inbox = self.connection.client().new_inbox();
        let mut answers = self.connection.subscribe_once(inbox.clone()).await?;
        let mut denied = self
            .connection
            .denials
            .watch(move |denial| denial.denies(Action::Publish, subject));
        let body = question.to_string();
        let asked = self.connection.publisher.publish(
            subject,
            Some(inbox.into()),
            HeaderMap::new(),
            body.into(),
        );
        timeout(ANSWER_TIMEOUT, asked)
            .await
            .map_err(|_| failed("the connection is lost"))??;
        let end = Instant::now() + ANSWERS_TIMEOUT;
        let mut limit = Instant::now() + ANSWER_TIMEOUT;
        let mut count = 0;
        loop {
            let answer = tokio::select! {
                biased;
                error = denied.denied() => return Err(error),
                answer = timeout_at(limit.min(end), answers.next()) => answer,
            };
            let Ok(Some(answer)) = answer else { break };
            if answer.status == Some(StatusCode::NO_RESPONDERS) {
                return Err(failed("no server reports its connections"));
            }
            receive(&answer.payload)?;
            count += 1;
            if is_single {
                break;
            }
            limit = Instant::now() + QUIET_TIME;
        }
        if count == 0 {
            return Err(failed("no answer from the server"));
        }
        Ok(())
    }

    fn is_single_server(&self) -> bool {
        self.connection.client().server_info().cluster.is_none()
    }
}

fn invalid(error: impl std::error::Error) -> Error {
    failed(&format!("invalid answer: {error}"))
}

fn failed(reason: &str) -> Error {
    Error::raised(
        ErrorCode::ConnectionFailed,
        format!("live connections unknown: {reason}"),
    )
}
