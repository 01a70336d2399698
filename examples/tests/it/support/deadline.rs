//! The deadline of every wait in a test.

use std::time::Duration;

const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Awaits `work`, and fails the test when the deadline passes.
pub(crate) async fn within_deadline<T>(work: impl IntoFuture<Output = T>) -> T {
    match tokio::time::timeout(WAIT_TIMEOUT, work.into_future()).await {
        Ok(done) => done,
        Err(_) => panic!("timed out after {WAIT_TIMEOUT:?}"),
    }
}
