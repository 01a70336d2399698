//! Retries of requests.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use openagentmesh_protocol::{ErrorCode, InstanceId, InstanceState, RequestId};
use rand::RngExt;
use rand::seq::IndexedRandom;
use tokio::time::Instant;

use super::deadline::Deadline;
use super::request::{Attempt, Request};
use crate::error::{Error, Result};
use crate::util::backoff::Backoff;
use crate::util::retry_budget::RetryBudget;

const DEFAULT_ATTEMPTS: u32 = 3;
const DEFAULT_FIRST_DELAY: Duration = Duration::from_millis(50);
const DEFAULT_MAX_DELAY: Duration = Duration::from_secs(2);
/// The limit of the wait for the records of instances.
const RECORDS_TIMEOUT: Duration = Duration::from_secs(2);
/// The limit of the time that a host may ask for before the next attempt.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// The retries of a request: how often it is sent, and the back-off between two attempts. Given to `retry` of
/// [`Call`](crate::Call::retry), [`StreamRequest`](crate::StreamRequest::retry) and
/// [`SendRequest`](crate::SendRequest::retry).
///
/// A request is sent again after these errors:
///
/// | code | retried |
/// |---|---|
/// | `overloaded` | always: the host did not start the handler. The next attempt waits at least `details.retry_after_ms` |
/// | `not_available` | always: no host received the request |
/// | `agent_died`, `timeout` | only if the contract of the agent says that it is [idempotent](crate::AgentSpec::idempotent): the handler may have run |
/// | any other | never |
///
/// An `overloaded` or `not_available` counts as the third row if it is that of another agent, which the handler passed
/// on, or of a host that shut down while the handler ran (`details.started`).
///
/// All attempts together end by the timeout of the request. Every attempt has a request id of its own, and all have the
/// same `X-Mesh-Idempotency-Key` header, by which a handler can recognise a repetition. Client
/// [interceptors](crate::Interceptor) run around each attempt.
///
/// After `agent_died`, the next attempt goes to a living instance alone, if its record is known: the server may deliver
/// requests to a frozen one for minutes.
///
/// A process has one budget for its retries after other errors: a fifth of its requests with retries, and ten more, which
/// are restored at one per second. Without budget, the error of the last attempt is returned, with
/// `details.retry_budget` set to `exhausted`. After more than one attempt, `details.attempts` has their number.
///
/// ```no_run
/// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
/// use std::time::Duration;
///
/// use openagentmesh::Retry;
///
/// let retry = Retry::attempts(5).attempt_timeout(Duration::from_secs(2));
/// let text: String = mesh.call("echo", "hello").retry(retry).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "retries are given to a request"]
pub struct Retry {
    attempts: u32,
    first_delay: Duration,
    max_delay: Duration,
    attempt_timeout: Option<Duration>,
}

impl Default for Retry {
    /// Three attempts.
    fn default() -> Self {
        Self::attempts(DEFAULT_ATTEMPTS)
    }
}

impl Retry {
    /// At most `attempts` attempts, the first one included. 0 counts as 1.
    pub const fn attempts(attempts: u32) -> Self {
        Self {
            attempts,
            first_delay: DEFAULT_FIRST_DELAY,
            max_delay: DEFAULT_MAX_DELAY,
            attempt_timeout: None,
        }
    }

    /// Sets the delays between two attempts, which double from `first` to `max`: from 50 ms to 2 s by default. Each is
    /// shortened by a random part of up to its half.
    pub const fn backoff(mut self, first: Duration, max: Duration) -> Self {
        self.first_delay = first;
        self.max_delay = max;
        self
    }

    /// Sets the limit of each attempt: none by default, so that an attempt without a reply takes all of the time. For
    /// a stream, it bounds the time to the first chunk.
    pub const fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }
}

/// The attempts at one request.
pub(super) struct Attempts {
    /// The request, from which each attempt is made.
    request: Request,
    attempt: Attempt,
    schedule: Schedule,
    /// Whether the contract says that the agent is idempotent; `None` before it was read.
    is_idempotent: Option<bool>,
    /// Instances that have died, or have been asked alone.
    avoided: HashSet<InstanceId>,
    /// Whether every further attempt goes to any instance: the server does not permit a request to one.
    is_any: bool,
}

impl Attempts {
    /// `Err` gives back a request that is invalid, and fails at the first attempt.
    pub(super) fn start(
        request: Request,
        retry: Retry,
        deadline: Option<Deadline>,
    ) -> Result<Self, Box<Request>> {
        if !request.is_valid() {
            return Err(Box::new(request));
        }
        request.client.session().retry_budget.deposit();
        let attempt = Attempt {
            idempotency_key: Arc::from(RequestId::random().as_str()),
            timeout: retry.attempt_timeout,
            deadline,
            instance: None,
        };
        Ok(Self {
            request,
            attempt,
            schedule: Schedule::new(retry),
            is_idempotent: None,
            avoided: HashSet::new(),
            is_any: false,
        })
    }

    /// The request of the next attempt.
    pub(super) fn next(&mut self) -> Request {
        self.schedule.made += 1;
        self.request.attempt(self.attempt.clone())
    }

    /// Waits until the request may be sent again after it has failed with `error`.
    ///
    /// # Errors
    ///
    /// `error`, when it is not sent again.
    pub(super) async fn wait(&mut self, error: Error) -> Result<()> {
        if !self.schedule.has_attempts() || !self.may_repeat(&error).await {
            return Err(self.last(error));
        }
        let hint = retry_after(&error);
        let deadline = self.attempt.deadline.map(|deadline| deadline.at);
        let Some(delay) = self.schedule.delay(hint, deadline, &mut rand::rng()) else {
            return Err(self.last(error));
        };
        // A dead instance did not take any load: its requests are no further load for the others.
        let is_further_load = error.code() != &ErrorCode::AgentDied;
        if is_further_load && !self.budget().try_withdraw() {
            return Err(self.last(error).with_detail("retry_budget", "exhausted"));
        }
        tracing::debug!(%error, ?delay, "a request is sent again");
        tokio::time::sleep(delay).await;
        self.attempt.instance = match error.code() {
            ErrorCode::AgentDied if !self.is_any => self.living_instance(&error).await,
            _ => None,
        };
        Ok(())
    }

    /// An instance that serves the agent, other than those that have died: the server may deliver a further request of the
    /// agent to a frozen one. `None` if no other one is known.
    async fn living_instance(&mut self, error: &Error) -> Option<InstanceId> {
        let died = error.details().get("instance_id");
        let died = died.and_then(|id| InstanceId::parse(id.as_str()?).ok());
        self.avoided.extend(died);
        let records = self.request.client.session().records.all();
        let records = tokio::time::timeout(RECORDS_TIMEOUT, records).await.ok()?;
        let agent = self.request.agent()?;
        let mut living = records.ok()?;
        living.retain(|instance| {
            let record = &instance.record;
            record.state == Some(InstanceState::Serving)
                && record.agents.iter().any(|name| name.as_str() == agent)
                && !self.avoided.contains(&instance.id)
        });
        let chosen = living.choose(&mut rand::rng())?.id.clone();
        self.avoided.insert(chosen.clone());
        Some(chosen)
    }

    fn budget(&self) -> &RetryBudget {
        &self.request.client.session().retry_budget
    }

    /// The error of the last attempt.
    fn last(&self, error: Error) -> Error {
        match self.schedule.made {
            0 | 1 => error,
            made => error.with_detail("attempts", made),
        }
    }

    async fn may_repeat(&mut self, error: &Error) -> bool {
        if error.code() == &ErrorCode::ConnectionDenied && self.attempt.instance.is_some() {
            self.is_any = true;
            return true;
        }
        match Safety::of(error, self.request.agent()) {
            Safety::Always => true,
            Safety::Never => false,
            Safety::Idempotent => self.is_idempotent().await,
        }
    }

    async fn is_idempotent(&mut self) -> bool {
        if let Some(known) = self.is_idempotent {
            return known;
        }
        let contract = self.request.contract();
        let contract = match self.attempt.deadline {
            Some(deadline) => tokio::time::timeout_at(deadline.at, contract).await,
            None => Ok(contract.await),
        };
        // Without the contract, the handler counts as one that must not run twice.
        let Ok(Ok(contract)) = contract else {
            return false;
        };
        *self.is_idempotent.insert(contract.idempotent)
    }
}

/// Whether a request may be sent again.
#[derive(Debug, PartialEq, Eq)]
enum Safety {
    /// The handler has not run.
    Always,
    /// The handler may have run.
    Idempotent,
    Never,
}

impl Safety {
    /// The safety of a request to `agent` that has failed with `error`.
    fn of(error: &Error, agent: Option<&str>) -> Self {
        match error.code() {
            ErrorCode::Overloaded | ErrorCode::NotAvailable
                if error.agent() == agent && !has_started(error) =>
            {
                Self::Always
            }
            // The error of another agent, which the handler passed on, or of a host that shut down.
            ErrorCode::Overloaded | ErrorCode::NotAvailable => Self::Idempotent,
            ErrorCode::AgentDied | ErrorCode::Timeout => Self::Idempotent,
            _ => Self::Never,
        }
    }
}

/// Whether the host says that the handler had started.
fn has_started(error: &Error) -> bool {
    error.details().get("started").is_some()
}

/// The time that an overloaded host asks for before the next attempt.
fn retry_after(error: &Error) -> Duration {
    let hint = match error.code() {
        ErrorCode::Overloaded => error.details().get("retry_after_ms"),
        _ => None,
    };
    let milliseconds = hint.and_then(serde_json::Value::as_u64).unwrap_or(0);
    // The host is not trusted.
    Duration::from_millis(milliseconds).min(MAX_RETRY_AFTER)
}

/// Decides when the next attempt begins.
struct Schedule {
    attempts: u32,
    /// The number of attempts so far.
    made: u32,
    backoff: Backoff,
}

impl Schedule {
    fn new(retry: Retry) -> Self {
        Self {
            attempts: retry.attempts,
            made: 0,
            backoff: Backoff::new(retry.first_delay, retry.max_delay),
        }
    }

    fn has_attempts(&self) -> bool {
        self.made < self.attempts
    }

    /// The delay before the next attempt, at least `hint`; `None` if it would begin after `deadline`.
    fn delay(
        &mut self,
        hint: Duration,
        deadline: Option<Instant>,
        rng: &mut impl RngExt,
    ) -> Option<Duration> {
        // Added to the hint, so that the callers of an overloaded host do not come back together.
        let delay = hint.saturating_add(self.backoff.next_delay_with(rng));
        let start = Instant::now().checked_add(delay)?;
        let is_in_time = deadline.is_none_or(|deadline| start < deadline);
        is_in_time.then_some(delay)
    }
}

#[cfg(test)]
mod tests;
