//! When whoever asked stops waiting.

use std::fmt;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use openagentmesh_protocol::{AgentName, ErrorCode};
use tokio::time::Instant;

use crate::error::{Error, Result};

/// A moment, and how it came about. Shown, it completes "did not answer …".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    asked: Option<Duration>,
}

impl Deadline {
    /// What `timeout` asks for; one of more than a year is a year.
    pub(crate) fn after(timeout: Duration) -> Self {
        const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);
        Self {
            at: Instant::now() + timeout.min(FAR),
            asked: Some(timeout),
        }
    }

    /// The end of the request in whose service another is made.
    pub(crate) fn inherited(at: Instant) -> Self {
        Self { at, asked: None }
    }

    /// Whichever comes first.
    pub(crate) fn min(self, other: Self) -> Self {
        if other.at < self.at { other } else { self }
    }

    pub(crate) fn has_passed(self) -> bool {
        self.at <= Instant::now()
    }

    /// What is left, as the header says it.
    pub(crate) fn milliseconds_left(self) -> u64 {
        let left = self.at.saturating_duration_since(Instant::now());
        // Rounded up: the host must not give up before the caller does.
        u64::try_from(left.as_millis())
            .unwrap_or(u64::MAX)
            .saturating_add(1)
    }

    /// Gives `asking` up at this moment: a connection that is lost takes requests until its buffers
    /// are full.
    ///
    /// # Errors
    ///
    /// Those of `asking`, and `timeout`.
    pub(crate) async fn bound<T>(
        self,
        agent: &AgentName,
        mut asking: Pin<&mut impl Future<Output = Result<T>>>,
    ) -> Result<T> {
        // Nearly always it is done at once, and needs no timer.
        if let Poll::Ready(asked) = futures::poll!(asking.as_mut()) {
            return asked;
        }
        match tokio::time::timeout_at(self.at, asking).await {
            Ok(asked) => asked,
            Err(_) => Err(self.not_asked(agent)),
        }
    }

    fn not_asked(self, agent: &AgentName) -> Error {
        Error::raised(
            ErrorCode::Timeout,
            format!(
                "agent '{agent}' could not be asked {self}: the connection to the mesh is lost or \
                 slow"
            ),
        )
        .with_agent(agent)
    }
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.asked {
            Some(timeout) => write!(f, "within {timeout:?}"),
            None => f.write_str("in what was left of the time of the request that is served here"),
        }
    }
}
