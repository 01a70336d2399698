//! The limits of every wait.

use std::time::Duration;

/// The limits of the waits of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The limit of the wait for each answer: 5 s by default.
    pub answer_timeout: Duration,
    /// The time in which a message must not arrive, where a rule says so: 500 ms by default.
    pub quiet_time: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            answer_timeout: Duration::from_secs(5),
            quiet_time: Duration::from_millis(500),
        }
    }
}
