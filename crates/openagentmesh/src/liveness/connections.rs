//! The live connections of the mesh's account, as its servers report them.

use std::time::Duration;

use async_nats::{HeaderMap, StatusCode};
use futures::StreamExt;
use openagentmesh_monitor::Connections;
use openagentmesh_protocol::{AgentName, ErrorCode, subject};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::{Error, Result};
use crate::transport::{Action, Connection};
use crate::util::sync::Mutex;

/// The subject of questions for the connections of the account that asks. Each server answers once.
const CONNECTIONS_SUBJECT: &str = "$SYS.REQ.ACCOUNT.PING.CONNZ";
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
/// The number of connections of one agent that are reported. One more than that of the instance in question suffices.
const MAX_SUBSCRIBERS: u64 = 4;
/// The time for which no question is sent after the servers refused one.
const REFUSED_DELAY: Duration = Duration::from_secs(60);
/// The time for which no question is sent after one was not answered.
const UNANSWERED_DELAY: Duration = Duration::from_secs(5);

/// Asks the servers of the mesh for live connections.
pub(crate) struct LiveConnections {
    connection: Connection,
    /// The time until which no question is sent, after a failure.
    closed_until: Mutex<Option<Instant>>,
}

impl LiveConnections {
    pub(crate) fn new(connection: &Connection) -> Self {
        Self {
            connection: connection.clone(),
            closed_until: Mutex::new(None),
        }
    }

    /// The connection with `client_id` at each server.
    ///
    /// # Errors
    ///
    /// `connection_denied` when the server does not permit the question; `connection_failed` when no server answers.
    pub(super) async fn one(&self, client_id: u64) -> Result<Connections> {
        let mut connections = Connections::default();
        self.ask(&json!({"cid": client_id}), &mut connections)
            .await?;
        Ok(connections)
    }

    /// The connections that subscribe to the requests of `agent`.
    ///
    /// # Errors
    ///
    /// Those of [`one`](Self::one).
    pub(super) async fn of_agent(&self, agent: &AgentName) -> Result<Connections> {
        let mut connections = Connections::default();
        let question = json!({
            "filter_subject": subject::agent(agent),
            "subscriptions": true,
            "limit": MAX_SUBSCRIBERS,
        });
        self.ask(&question, &mut connections).await?;
        Ok(connections)
    }

    /// All connections.
    ///
    /// # Errors
    ///
    /// Those of [`one`](Self::one), and `connection_failed` when there are more than the limit.
    pub(super) async fn all(&self) -> Result<Connections> {
        let mut connections = Connections::default();
        for page in 0..MAX_PAGES {
            let question = json!({"limit": PAGE_SIZE, "offset": page * PAGE_SIZE, "sort": "cid"});
            if !self.ask(&question, &mut connections).await? {
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
    async fn ask(&self, question: &Value, connections: &mut Connections) -> Result<bool> {
        let now = Instant::now();
        if self.closed_until.lock().is_some_and(|until| now < until) {
            return Err(failed("the last question failed"));
        }
        let asked = self.collect(question, connections).await;
        if let Err(error) = &asked {
            let delay = if error.code() == &ErrorCode::ConnectionDenied {
                REFUSED_DELAY
            } else {
                UNANSWERED_DELAY
            };
            *self.closed_until.lock() = Some(Instant::now() + delay);
        }
        asked
    }

    async fn collect(&self, question: &Value, connections: &mut Connections) -> Result<bool> {
        let is_single = self.is_single_server();
        let inbox = self.connection.client().new_inbox();
        let mut answers = self.connection.subscribe_once(inbox.clone()).await?;
        let mut denied = self
            .connection
            .denials
            .watch(|denial| denial.denies(Action::Publish, CONNECTIONS_SUBJECT));
        let body = question.to_string();
        let asked = self.connection.publisher.publish(
            CONNECTIONS_SUBJECT,
            Some(inbox.into()),
            HeaderMap::new(),
            body.into(),
        );
        timeout(ANSWER_TIMEOUT, asked)
            .await
            .map_err(|_| failed("the connection is lost"))??;
        let end = Instant::now() + ANSWERS_TIMEOUT;
        let mut limit = Instant::now() + ANSWER_TIMEOUT;
        let (mut count, mut has_more) = (0, false);
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
            let next = connections.add(&answer.payload);
            let next = next.map_err(|error| failed(&error.to_string()).with_source(error))?;
            has_more |= next.is_some();
            count += 1;
            if is_single {
                break;
            }
            limit = Instant::now() + QUIET_TIME;
        }
        if count == 0 {
            return Err(failed("no answer from the server"));
        }
        Ok(has_more)
    }

    fn is_single_server(&self) -> bool {
        self.connection.client().server_info().cluster.is_none()
    }
}

fn failed(reason: &str) -> Error {
    Error::raised(
        ErrorCode::ConnectionFailed,
        format!("live connections unknown: {reason}"),
    )
}
