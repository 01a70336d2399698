//! The deadline of every wait in a test.

use std::time::Duration;

const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Awaits `work`, and fails the test with the name of the `event` when the deadline passes.
pub(crate) async fn within_deadline<T>(event: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(WAIT_TIMEOUT, work).await {
        Ok(done) => done,
        Err(_) => panic!("timed out after {WAIT_TIMEOUT:?}: {event}"),
    }
}
