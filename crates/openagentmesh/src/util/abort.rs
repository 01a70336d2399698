//! The end of work that an abort does not end at once.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How long each of a task's last messages may take after the abort.
const LAST_MESSAGE_TIMEOUT: Duration = Duration::from_millis(400);

/// Runs `work` to its end. `None` means that it had not ended a short time after `abort` fired: on a lost
/// connection, a message may wait for room until the server returns.
pub(crate) async fn finish_after_abort<T>(
    abort: &CancellationToken,
    work: impl Future<Output = T>,
) -> Option<T> {
    let overdue = async {
        abort.cancelled().await;
        sleep(LAST_MESSAGE_TIMEOUT).await;
    };
    tokio::select! {
        biased;
        done = work => Some(done),
        () = overdue => None,
    }
}
