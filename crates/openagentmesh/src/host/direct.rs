//! Requests to this instance on a subject of its own, from callers whose request another instance did not answer.

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

    /// Subscribes, unless that was done before, until `abort` fires.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(super) async fn start(
        self: &Arc<Self>,
        session: &Arc<Session>,
        abort: &CancellationToken,
    ) -> Result<()> {
        let subscribe = async || {
            let subjects = subject::instance_requests(&session.instance_id);
            // Without the permission, callers send their request to any instance.
            let denied = subjects.clone();
            let denials = &session.connection.denials;
            let denied = denials.watch(move |denial| denial.denies(Action::Subscribe, &denied));
            let requests = session.connection.subscribe(subjects, None).await?;
            let reading = read(Arc::clone(self), requests, denied, Arc::clone(session));
            let abort = abort.clone();
            tokio::spawn(async move { abort.run_until_cancelled(reading).await });
            Ok(())
        };
        self.subscribed.get_or_try_init(subscribe).await.copied()
    }
}

/// Routes the requests. `_denied` is kept: a denial of the subscription is not worth a warning.
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
