//! Ephemeral consumers that are deleted as soon as they are unused.

use std::time::Duration;

use async_nats::jetstream::stream::Stream;

/// The limit of the server's answer.
const DELETION_TIMEOUT: Duration = Duration::from_secs(10);

/// Deletes a consumer from the server when it is dropped.
pub(crate) struct ConsumerGuard {
    stream: Stream,
    name: String,
}

impl ConsumerGuard {
    pub(crate) fn new(stream: Stream, name: String) -> Self {
        Self { stream, name }
    }
}

impl Drop for ConsumerGuard {
    fn drop(&mut self) {
        // Without a runtime, the server deletes the consumer once it is inactive.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (stream, name) = (self.stream.clone(), std::mem::take(&mut self.name));
        runtime.spawn(async move {
            let deleted = tokio::time::timeout(DELETION_TIMEOUT, stream.delete_consumer(&name));
            if !deleted.await.is_ok_and(|deleted| deleted.is_ok()) {
                tracing::debug!(name, "a consumer stays until the server finds it inactive");
            }
        });
    }
}
