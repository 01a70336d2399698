//! The state that all requests of one agent share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use openagentmesh_protocol::{AgentName, Shape};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::admission::Admission;
use super::compat::late_subscriber::ReplyRetry;
use super::freeze::FreezeWatch;
use super::signals::SignalRouter;
use crate::agent::HandlerFn;
use crate::schema::InputSchema;
use crate::session::Session;
use crate::telemetry::Interceptors;
use crate::transport::Publisher;

/// One agent that this process serves. The fields never change while the agent is served, except for
/// counters; every task of the agent reads them.
pub(super) struct AgentState {
    pub(super) name: AgentName,
    pub(super) shape: Shape,
    /// The handler.
    pub(super) handler: HandlerFn,
    /// The schema of the input; `None` for an agent without input.
    pub(super) input: Option<Arc<InputSchema>>,
    /// The time that the handler of one request may run.
    pub(super) timeout: Option<Duration>,
    /// The number of requests in flight, and its limit.
    pub(super) admission: Arc<Admission>,
    /// The memory for waiting requests of all agents of the host, one permit per byte.
    pub(super) queue_budget: Arc<Semaphore>,
    pub(super) session: Arc<Session>,
    /// The host's router of caller signals.
    pub(super) signals: Arc<SignalRouter>,
    /// The host's watch for freezes of the process.
    pub(super) freezes: Arc<FreezeWatch>,
    /// The host's interceptors, run around every request.
    pub(super) interceptors: Interceptors,
    /// The subject of the agent's dead letters.
    pub(super) errors_subject: async_nats::Subject,
    /// Sends replies to callers that may subscribe after their request.
    pub(super) late_replies: ReplyRetry,
    /// Cancels every request and ends every task of the agent. Fires when the grace time of a shutdown is
    /// over, when the service is dropped, and when the host is aborted.
    pub(super) abort: CancellationToken,
    /// The number of requests whose reply subject was refused.
    pub(super) refused_replies: AtomicU64,
}

impl AgentState {
    pub(super) fn publisher(&self) -> &Arc<Publisher> {
        &self.session.connection.publisher
    }
}
