//! The time limit of a command.

use std::time::Duration;

use openagentmesh::ErrorCode;
use tokio::time::Instant;

use crate::failure::Failure;

/// The limit that `--timeout` sets for everything that a command does, from its start on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Option<Limit>);

#[derive(Debug, Clone, Copy)]
struct Limit {
    timeout: Duration,
    started: Instant,
}

impl Deadline {
    /// `timeout` from now; no limit if `None`.
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        let started = Instant::now();
        Self(timeout.map(|timeout| Limit { timeout, started }))
    }

    /// Runs `work` until the deadline.
    ///
    /// # Errors
    ///
    /// Those of `work`, and a timeout whose message begins with `problem`, such as "not connected".
    pub(crate) async fn bound<T>(
        &self,
        problem: &str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let Some(limit) = self.0 else {
            return work.await;
        };
        match tokio::time::timeout(limit.left(), work).await {
            Ok(done) => done,
            Err(_) => {
                let message = format!("{problem} within {:?}", limit.timeout);
                Err(Failure::mesh(ErrorCode::Timeout, message).hint("--timeout TIME waits longer"))
            }
        }
    }

    /// The time that is left for a request; `None` without a limit.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.0.map(|limit| limit.left())
    }

    /// The failure of a request that was given the time that was `left`. Its message names the whole
    /// limit instead.
    pub(crate) fn with_whole_limit(&self, mut failure: Failure, left: Option<Duration>) -> Failure {
        if let (Some(limit), Some(left)) = (self.0, left)
            && failure.code == Some(ErrorCode::Timeout)
        {
            let whole = format!("{:?}", limit.timeout);
            failure.message = failure.message.replace(&format!("{left:?}"), &whole);
            // The host's own message may arrive first.
            if failure.message.starts_with("deadline exceeded") {
                failure
                    .message
                    .push_str(&format!(": no reply within {whole}"));
            }
        }
        failure
    }
}

impl Limit {
    fn left(self) -> Duration {
        self.timeout.saturating_sub(self.started.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeout_of_caller_or_host_names_the_whole_limit() {
        let deadline = Deadline::after(Some(Duration::from_secs(3)));
        let left = Duration::from_millis(2_990);
        for (message, expected) in [
            (
                "agent 'a' did not reply within 2.99s",
                "agent 'a' did not reply within 3s",
            ),
            (
                "deadline exceeded before a",
                "deadline exceeded before a: no reply within 3s",
            ),
            ("agent 'a' took more than 1s", "agent 'a' took more than 1s"),
        ] {
            let failure = Failure::mesh(ErrorCode::Timeout, message);
            let failure = deadline.with_whole_limit(failure, Some(left));
            assert_eq!(failure.message, expected);
        }
    }
}
