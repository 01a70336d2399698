//! Inbox to callers that subscribe to them only after they have asked.
//!
//! Published SDKs do so up to 0.2.0: `send` with a callback hands over the request first, and its
//! subscription when its event loop comes to it. An agent that is quick has answered by then, and
//! the server drops a reply to which nobody subscribes. So it is sent again until somebody does.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use openagentmesh_protocol::AgentName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::Result;
use crate::host::reply;
use crate::session::Session;

/// How long until a reply is sent for the second time; each further time it is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// After this pause nobody is expected any more; all of them take a second.
const LAST_PAUSE: Duration = Duration::from_millis(512);
/// How long the server may take to say whether somebody subscribes.
const PATIENCE: Duration = Duration::from_secs(1);
/// How much a process holds of such replies, in bytes.
const SPACE: u32 = 16 * 1024 * 1024;
/// What a reply takes besides its body, about, in bytes.
const OVERHEAD: u32 = 1024;

/// The space for such replies in a process.
pub(in crate::host) fn memory_budget() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(SPACE as usize))
}

/// What it takes to send an agent's replies until somebody subscribes to them.
pub(in crate::host) struct ReplyRetry {
    pub(in crate::host) agent: AgentName,
    pub(in crate::host) session: Arc<Session>,
    pub(in crate::host) space: Arc<Semaphore>,
    pub(in crate::host) tasks: TaskTracker,
    pub(in crate::host) abort: CancellationToken,
}

impl ReplyRetry {
    /// Space for a reply whose body has so many bytes; `None` when others take it.
    pub(in crate::host) fn space_for(&self, body: usize) -> Option<OwnedSemaphorePermit> {
        let body = u32::try_from(body).unwrap_or(SPACE);
        let size = body.saturating_add(OVERHEAD).min(SPACE);
        Arc::clone(&self.space).try_acquire_many_owned(size).ok()
    }

    /// Sends a reply until somebody subscribes to it. The agent goes on meanwhile.
    pub(in crate::host) fn send(
        &self,
        space: OwnedSemaphorePermit,
        subject: Subject,
        headers: HeaderMap,
        body: Bytes,
    ) {
        let (agent, session) = (self.agent.clone(), Arc::clone(&self.session));
        let abort = self.abort.clone();
        self.tasks.spawn(async move {
            match repeat(&session, &abort, &subject, &headers, &body).await {
                Ok(true) => {}
                Ok(false) => tracing::debug!(%agent, %subject, "nobody subscribed to a reply"),
                Err(error) => reply::not_sent(&agent, &error),
            }
            drop(space);
        });
    }
}

/// Whether somebody subscribed in time. It is sent at least once, also when `abort` has fired: that is
/// what callers are told of then.
async fn repeat(
    session: &Session,
    abort: &CancellationToken,
    subject: &Subject,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<bool> {
    let replies = &session.connection.inbox;
    let mut pause = FIRST_PAUSE;
    loop {
        let delivered = replies.deliver(subject.clone(), headers.clone(), body.clone());
        // A server that does not let a client have its own messages never says.
        let taken = timeout(PATIENCE, delivered).await.unwrap_or(Ok(true))?;
        if taken || pause > LAST_PAUSE {
            return Ok(taken);
        }
        // Nothing tells when somebody subscribes.
        if abort.run_until_cancelled(sleep(pause)).await.is_none() {
            return Ok(false);
        }
        pause *= 2;
    }
}
