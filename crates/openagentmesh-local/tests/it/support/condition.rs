//! Waiting for conditions.

use std::time::{Duration, Instant};

/// Maximum wait for a condition, also on a busy machine.
pub(crate) const CONDITION_TIMEOUT: Duration = Duration::from_secs(60);

/// Waits until `condition` holds, at most [`CONDITION_TIMEOUT`].
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + CONDITION_TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
