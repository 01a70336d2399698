//! The disconnects of the mesh's account, as the system account reports them.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{HeaderMap, StatusCode};
use bytes::Bytes;
use futures::StreamExt;
use openagentmesh_monitor::{Disconnect, Waker};
use openagentmesh_protocol::{ErrorCode, subject};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use crate::error::{Error, Result};
use crate::transport::{Action, Connection, ConnectionGuard, DenialWatch, Subscription};

/// The subject of questions for the user of a connection.
const USER_SUBJECT: &str = "$SYS.REQ.USER.INFO";
/// A subject of questions that only the system account may ask.
const PING_SUBJECT: &str = "$SYS.REQ.SERVER.PING";
/// The limit of each question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection of the system account, with a subscription to disconnects.
pub(crate) struct SystemAdvisories {
    system: Arc<ConnectionGuard>,
    subject: String,
    disconnects: Subscription,
    denied: DenialWatch,
    /// Whether the advisories are those of the mesh's account alone. Those of other accounts must not be passed on.
    is_own_account: bool,
}

#[derive(Deserialize)]
struct UserReport {
    data: User,
}

#[derive(Deserialize)]
struct User {
    account: String,
}

impl SystemAdvisories {
    /// Subscribes on `system` to the disconnects of the account of `mesh`.
    ///
    /// # Errors
    ///
    /// `connection_denied` when the user of `system` is not one of the system account, or may not subscribe;
    /// `connection_failed` when the connection is closed or lost.
    pub(crate) async fn subscribe(system: Arc<ConnectionGuard>, mesh: &Connection) -> Result<Self> {
        check_system_account(&system).await?;
        let account = account(mesh).await;
        if account.is_none() {
            tracing::warn!(
                subject = USER_SUBJECT,
                "the account of the mesh is not known: this process alone learns of disconnects; permit the subject"
            );
        }
        let subject = format!(
            "$SYS.ACCOUNT.{}.DISCONNECT",
            account.as_deref().unwrap_or("*")
        );
        let filter = subject.clone();
        let mut denied = system
            .denials
            .watch(move |denial| denial.denies(Action::Subscribe, &filter));
        let disconnects = system.subscribe(subject.clone(), None).await?;
        system.await_verdict(&mut denied).await?;
        Ok(Self {
            system,
            subject,
            disconnects,
            denied,
            is_own_account: account.is_some(),
        })
    }

    /// Passes the disconnects on: to the monitor of this process by `waker`, and to all processes of the mesh, as a server
    /// does whose configuration exports disconnects. Resolves when the connection is closed.
    pub(crate) async fn forward(mut self, mesh: &Connection, waker: &Waker) {
        let mut reconnections = self.system.watch_reconnections();
        let mut refused = mesh
            .denials
            .watch(|denial| denial.denies(Action::Publish, subject::DISCONNECTS));
        let mut is_forwarding = self.is_own_account;
        loop {
            tokio::select! {
                message = self.disconnects.next() => {
                    let Some(message) = message else { break };
                    let Some(disconnect) = Disconnect::parse(&message.payload) else { continue };
                    waker.disconnected(disconnect.clone());
                    if is_forwarding {
                        publish(mesh, &disconnect).await;
                    }
                }
                // Advisories may be missing.
                Ok(()) = reconnections.changed() => waker.look_at_all(),
                error = self.denied.denied() => {
                    tracing::warn!(%error, "disconnects are no longer reported to the monitor");
                    return;
                }
                error = refused.denied(), if is_forwarding => {
                    tracing::warn!(%error, "other processes of the mesh do not learn of disconnects");
                    is_forwarding = false;
                }
            }
        }
        tracing::warn!(
            subject = self.subject,
            "the connection of the system account is closed: deaths are found by leases"
        );
    }
}

/// Publishes what processes of the mesh need of an advisory. The rest of it, such as addresses, is that of the operator.
async fn publish(mesh: &Connection, disconnect: &Disconnect) {
    // A disconnect that cannot be passed on at once is found by its lease.
    if !mesh.is_up() {
        return;
    }
    let name = disconnect.instance.as_ref().map(|id| id.client_name());
    let body = json!({
        "server": {"id": disconnect.connection.server_id},
        "client": {"id": disconnect.connection.client_id, "name": name.unwrap_or_default()},
    });
    let publishing = mesh.publisher.publish(
        subject::DISCONNECTS,
        None,
        HeaderMap::new(),
        body.to_string().into(),
    );
    if let Ok(Err(error)) = timeout(ANSWER_TIMEOUT, publishing).await {
        tracing::debug!(%error, "a disconnect is not passed on");
    }
}

/// # Errors
///
/// `connection_denied` when the servers do not answer a question of the system account.
async fn check_system_account(system: &Connection) -> Result<()> {
    match ask(system, PING_SUBJECT).await? {
        Answer::Refused => Err(Error::raised(
            ErrorCode::ConnectionDenied,
            "invalid system account: the user is not one of the server's system account; \
             give the credentials of one that is",
        )),
        // A user with few permissions may be denied the question and permitted the subscription.
        Answer::Received(_) | Answer::Unknown => Ok(()),
    }
}

/// The account of `mesh`, if it can be the part of a subject; `None` also if the server does not permit the question.
async fn account(mesh: &Connection) -> Option<String> {
    let answer = ask(mesh, USER_SUBJECT).await;
    let answer = match answer {
        Ok(Answer::Received(answer)) => answer,
        Ok(Answer::Refused | Answer::Unknown) => return None,
        Err(error) => {
            tracing::debug!(%error, "the account of the mesh is not known");
            return None;
        }
    };
    let report: UserReport = serde_json::from_slice(&answer).ok()?;
    let account = report.data.account;
    let is_plain = |c: char| !c.is_whitespace() && !matches!(c, '*' | '>');
    let has_empty = account.split('.').any(str::is_empty);
    (!has_empty && account.chars().all(is_plain)).then_some(account)
}

enum Answer {
    Received(Bytes),
    /// No server takes the question.
    Refused,
    /// No answer arrived, or the question is denied.
    Unknown,
}

/// Asks the server one question.
async fn ask(connection: &Connection, subject: &'static str) -> Result<Answer> {
    let inbox = connection.client().new_inbox();
    let mut answers = connection.subscribe_once(inbox.clone()).await?;
    let mut denied = connection
        .denials
        .watch(move |denial| denial.denies(Action::Publish, subject));
    let asking = async {
        connection
            .publisher
            .publish(subject, Some(inbox.into()), HeaderMap::new(), Bytes::new())
            .await?;
        let answer = answers.next().await;
        Ok(match answer {
            Some(answer) if answer.status == Some(StatusCode::NO_RESPONDERS) => Answer::Refused,
            Some(answer) => Answer::Received(answer.payload),
            None => Answer::Unknown,
        })
    };
    tokio::select! {
        biased;
        _ = denied.denied() => Ok(Answer::Unknown),
        answer = timeout(ANSWER_TIMEOUT, asking) => answer.unwrap_or(Ok(Answer::Unknown)),
    }
}
