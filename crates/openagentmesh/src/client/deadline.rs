//! Deadlines of operations.

use std::fmt;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use openagentmesh_protocol::{AgentName, ErrorCode};
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::transport::Connection;

/// A point in time and its origin. Its text completes "did not reply …".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deadline {
    pub(super) at: Instant,
    /// `None` if the deadline is inherited.
    timeout: Option<Duration>,
}

impl Deadline {
    /// `timeout` from now, at most a year.
    pub(super) fn after(timeout: Duration) -> Self {
        const MAX_TIMEOUT: Duration = Duration::from_secs(60 * 60 * 24 * 365);
        Self {
            at: Instant::now() + timeout.min(MAX_TIMEOUT),
            timeout: Some(timeout),
        }
    }

    /// The deadline of the request that the handler serves.
    pub(super) fn inherited(at: Instant) -> Self {
        Self { at, timeout: None }
    }

    /// The earlier of two deadlines.
    pub(super) fn min(self, other: Self) -> Self {
        if other.at < self.at { other } else { self }
    }

    pub(super) fn has_passed(self) -> bool {
        self.at <= Instant::now()
    }

    /// The time left, for the header of a request.
    pub(super) fn milliseconds_left(self) -> u64 {
        let left = self.at.saturating_duration_since(Instant::now());
        // Rounded up: the host must not cancel the request before the caller does.
        u64::try_from(left.as_millis())
            .unwrap_or(u64::MAX)
            .saturating_add(1)
    }

    /// Sends a request to `agent` by `publishing` until the deadline. Publishing waits while the connection is lost, and
    /// while its buffers are full.
    ///
    /// # Errors
    ///
    /// Those of `publishing`; `connection_denied` while the server refuses the credentials; after the deadline,
    /// `connection_failed` while the connection is lost, else `timeout`.
    pub(super) async fn bound<T>(
        self,
        agent: &AgentName,
        connection: &Connection,
        mut publishing: Pin<&mut impl Future<Output = Result<T>>>,
    ) -> Result<T> {
        if let Poll::Ready(published) = futures::poll!(publishing.as_mut()) {
            return published;
        }
        // Boxed: rare, and it would enlarge the future of every request.
        let mut until_refused = Box::pin(async {
            tokio::select! {
                biased;
                published = publishing => published,
                refused = connection.refused() => Err(refused.with_agent(agent)),
            }
        });
        match self.limit(until_refused.as_mut()).await {
            Some(published) => published,
            None => {
                let request = format!("the request to agent '{agent}'");
                Err(self.not_sent(&request, connection).with_agent(agent))
            }
        }
    }

    /// Runs `publishing`; `None` when the deadline passes before its end.
    pub(super) async fn limit<T>(
        self,
        mut publishing: Pin<&mut impl Future<Output = T>>,
    ) -> Option<T> {
        // Nearly always ready at once, without a timer.
        if let Poll::Ready(published) = futures::poll!(publishing.as_mut()) {
            return Some(published);
        }
        // Boxed: rare, and it would enlarge the future of every request.
        Box::pin(tokio::time::timeout_at(self.at, publishing))
            .await
            .ok()
    }

    /// The error of `message`, which could not be sent before this deadline.
    pub(super) fn not_sent(self, message: &str, connection: &Connection) -> Error {
        let cause = connection.lost().or(": the connection to the mesh is slow");
        let code = match connection.is_up() {
            true => ErrorCode::Timeout,
            false => ErrorCode::ConnectionFailed,
        };
        connection.with_loss(Error::raised(
            code,
            format!("{message} was not sent {self}{cause}"),
        ))
    }
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.timeout {
            Some(timeout) => write!(f, "within {timeout:?}"),
            None => f.write_str("before the deadline of the request that this handler serves"),
        }
    }
}
