//! Requests to this instance on a subject of its own, from callers whose request another instance did not answer.
//!
//! One subscription serves all agents. On a mesh with users each agent has its own: a user may receive the requests of the
//! agents that it serves, and of no others.

use std::collections::HashMap;
use std::sync::Arc;

use async_nats::Message;
use openagentmesh_protocol::{AgentName, ErrorCode, ReplyHeaders, RequestHeaders, Status, subject};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accept::accept_one;
use super::state::AgentState;
use crate::error::{Error, Result};
use crate::session::Session;
use crate::transport::{Action, DenialWatch, Outgoing, Received, Subscription};
use crate::util::sync::Mutex;

/// The agents of a host, for requests on the subjects of its instance: one subscription for all of them.
#[derive(Default)]
pub(super) struct DirectRequests {
    routes: Mutex<HashMap<AgentName, Route>>,
    subscribed: OnceCell<()>,
}

#[derive(Clone)]
struct Route {
    agent: Arc<AgentState>,
    tasks: TaskTracker,
}

impl DirectRequests {
    /// Serves `agent` on the subject of the instance. Its requests run in tasks in `tasks`.
    pub(super) fn add(&self, agent: &Arc<AgentState>, tasks: &TaskTracker) {
        let route = Route {
            agent: Arc::clone(agent),
            tasks: tasks.clone(),
        };
        self.routes.lock().insert(agent.name.clone(), route);
    }

    /// Stops serving `agent`, unless another one of the same name has taken its place.
    pub(super) fn remove(&self, agent: &Arc<AgentState>) {
        let mut routes = self.routes.lock();
        let route = routes.get(&agent.name);
        if route.is_some_and(|route| Arc::ptr_eq(&route.agent, agent)) {
            let removed = routes.remove(&agent.name);
            drop(routes);
            // Dropped without the lock.
            drop(removed);
        }
    }

    /// Subscribes for all agents, unless that was done before, until `abort` fires. Does nothing on a mesh with users.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(super) async fn start(
        self: &Arc<Self>,
        session: &Arc<Session>,
        abort: &CancellationToken,
    ) -> Result<()> {
        if session.instance_id.user().is_some() {
            return Ok(());
        }
        let start = async || {
            let subjects = subject::instance_requests(&session.instance_id);
            let (requests, denied) = subscribe(session, subjects).await?;
            let reading = read(Arc::clone(self), requests, denied, Arc::clone(session));
            let abort = abort.clone();
            tokio::spawn(async move { abort.run_until_cancelled(reading).await });
            Ok(())
        };
        self.subscribed.get_or_try_init(start).await.copied()
    }
}

/// On a mesh with users, subscribes to the requests to `agent` at this instance alone. The watch is to be kept as long as the
/// subscription.
///
/// # Errors
///
/// `connection_failed` when the connection is closed.
pub(super) async fn subscribe_to(
    session: &Session,
    agent: &AgentName,
) -> Result<Option<(Subscription, DenialWatch)>> {
    if session.instance_id.user().is_none() {
        return Ok(None);
    }
    let subject = subject::instance_request(&session.instance_id, agent);
    subscribe(session, subject).await.map(Some)
}

/// Subscribes to `subject`. A denial is not worth a warning, and is left to the watch: without the permission, callers send their
/// request to any instance.
async fn subscribe(session: &Session, subject: String) -> Result<(Subscription, DenialWatch)> {
    let denied = subject.clone();
    let denials = &session.connection.denials;
    let denied = denials.watch(move |denial| denial.denies(Action::Subscribe, &denied));
    let requests = session.connection.subscribe(subject, None).await?;
    Ok((requests, denied))
}

/// Routes the requests. `_denied` is kept as long as the subscription.
async fn read(
    direct: Arc<DirectRequests>,
    mut requests: Subscription,
    _denied: DenialWatch,
    session: Arc<Session>,
) {
    while let Some(message) = requests.next().await {
        let Some(name) = subject::requested_agent(&message.subject) else {
            continue;
        };
        let route = direct.routes.lock().get(&name).cloned();
        match route {
            Some(Route { agent, tasks }) => accept_one(&agent, &tasks, message).await,
            None => refuse(&session, &name, &message).await,
        }
    }
}

/// Answers a request to an agent that this process does not serve.
async fn refuse(session: &Session, name: &AgentName, message: &Message) {
    let Some(reply) = message
        .reply
        .clone()
        .filter(|reply| subject::may_reply_to(reply))
    else {
        return;
    };
    let request = RequestHeaders::read(&Received(message.headers.as_ref())).unwrap_or_default();
    let mut error = Error::raised(
        ErrorCode::NotAvailable,
        format!("agent '{name}' is not available: this instance does not serve it"),
    )
    .with_agent(name);
    if let Some(request_id) = &request.request_id {
        error = error.with_request(request_id);
    }
    let mut headers = Outgoing::default();
    ReplyHeaders {
        status: Status::Error,
        source: Some(name.as_str()),
        request_id: request.request_id.as_ref().map(|id| id.as_str()),
        instance_id: Some(session.instance_id.as_str()),
        usage: None,
    }
    .write(&mut headers);
    let Ok(body) = serde_json::to_vec(&error.to_object()) else {
        return;
    };
    let publisher = &session.connection.publisher;
    let sent = publisher.publish(reply, None, headers.0, body.into());
    if let Err(error) = sent.await {
        tracing::debug!(%error, agent = %name, "a refusal is not sent");
    }
}
