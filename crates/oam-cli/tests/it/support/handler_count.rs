//! The number of running handlers.

use std::sync::Arc;

use tokio::sync::watch;

use super::deadline::within_deadline;

/// Counts the live guards. A handler that holds a guard is counted until it is dropped.
#[derive(Clone, Default)]
pub(crate) struct HandlerCount(Arc<watch::Sender<usize>>);

/// Counted by its [`HandlerCount`] until dropped.
pub(crate) struct HandlerGuard(HandlerCount);

impl HandlerCount {
    pub(crate) fn guard(&self) -> HandlerGuard {
        self.0.send_modify(|count| *count += 1);
        HandlerGuard(self.clone())
    }

    /// Waits until the count is `expected`.
    pub(crate) async fn reaches(&self, expected: usize) {
        let mut count = self.0.subscribe();
        let reached = count.wait_for(|count| *count == expected);
        within_deadline("start or end of a handler", reached)
            .await
            .unwrap();
    }
}

impl Drop for HandlerGuard {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}
