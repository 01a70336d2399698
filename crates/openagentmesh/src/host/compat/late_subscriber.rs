//! Replies to callers that subscribe to the reply subject after they have sent the request.
//!
//! Published SDKs up to 0.2.0 do so for `send` with a callback. The server drops a reply that arrives before
//! the subscription. The host therefore repeats such a reply until the server reports a subscriber.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use openagentmesh_protocol::{AgentName, Visible};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::Result;
use crate::session::Session;
use crate::util::abort::finish_after_abort;
use crate::util::backoff::Backoff;

/// The back-off between two attempts to deliver a reply.
const FIRST_DELAY: Duration = Duration::from_millis(1);
const MAX_DELAY: Duration = Duration::from_millis(512);
/// The number of attempts to deliver a reply: about four seconds. Not a time, of which a stall leaves nothing.
const MAX_ATTEMPTS: usize = 20;
/// The limit of the server's report whether a reply has a subscriber. Without a report, the reply is not repeated.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(5);
/// The maximum size of the replies that wait for a subscriber, in the whole process.
const MAX_WAITING_BYTES: u32 = 16 * 1024 * 1024;
/// The estimated size of a reply in addition to its body, in bytes.
const REPLY_OVERHEAD_BYTES: u32 = 1024;

/// The memory for such replies, one permit per byte; shared by all agents of a process.
pub(in crate::host) fn memory_budget() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MAX_WAITING_BYTES as usize))
}

/// Delivers replies of one agent to late subscribers.
pub(in crate::host) struct ReplyRetry {
    pub(in crate::host) agent: AgentName,
    pub(in crate::host) session: Arc<Session>,
    /// The process's [`memory_budget`].
    pub(in crate::host) budget: Arc<Semaphore>,
    /// The agent's tasks: a graceful shutdown waits for the replies in them.
    pub(in crate::host) tasks: TaskTracker,
    /// The agent's abort: ends the repetition after the current attempt.
    pub(in crate::host) abort: CancellationToken,
}

impl ReplyRetry {
    /// Reserves memory for a reply with a body of `body` bytes; `None` when the budget is used up.
    pub(in crate::host) fn reserve(&self, body: usize) -> Option<OwnedSemaphorePermit> {
        let body = u32::try_from(body).unwrap_or(MAX_WAITING_BYTES);
        let size = body
            .saturating_add(REPLY_OVERHEAD_BYTES)
            .min(MAX_WAITING_BYTES);
        Arc::clone(&self.budget).try_acquire_many_owned(size).ok()
    }

    /// Sends a reply until it has a subscriber, in a task of its own. `reserved` is released afterwards.
    pub(in crate::host) fn send(
        &self,
        reserved: OwnedSemaphorePermit,
        subject: Subject,
        headers: HeaderMap,
        body: Bytes,
    ) {
        let (agent, session) = (self.agent.clone(), Arc::clone(&self.session));
        let abort = self.abort.clone();
        self.tasks.spawn(async move {
            match repeat(&session, &abort, &subject, &headers, &body).await {
                Ok(true) => {}
                Ok(false) => tracing::debug!(%agent, subject = %Visible(&subject), "a reply had no subscriber"),
                Err(error) => tracing::warn!(%agent, %error, "a reply could not be sent"),
            }
            drop(reserved);
        });
    }
}

/// Returns whether the reply had a subscriber in time. The reply is sent at least once, also after `abort`
/// has fired: the last answers of a shutdown are sent then.
async fn repeat(
    session: &Session,
    abort: &CancellationToken,
    subject: &Subject,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<bool> {
    let inbox = &session.connection.inbox;
    let mut backoff = Backoff::new(FIRST_DELAY, MAX_DELAY);
    for attempt in 0..MAX_ATTEMPTS {
        if attempt > 0 {
            // NATS has no notification of a new subscriber.
            let delay = sleep(backoff.next_delay());
            if abort.run_until_cancelled(delay).await.is_none() {
                return Ok(false);
            }
        }
        let (to, headers, body) = (subject.clone(), headers.clone(), body.clone());
        let delivered = inbox.deliver(to, headers, body, DELIVERY_TIMEOUT);
        let Some(delivered) = finish_after_abort(abort, delivered).await else {
            return Ok(false);
        };
        // A server that denies the client its own messages never reports.
        if delivered?.unwrap_or(true) {
            return Ok(true);
        }
    }
    Ok(false)
}
