//! The operations that a caller measures.

use std::time::Duration;

use crate::error::Result;

/// Number of events published at once: fewer than a subscriber buffers for a slow reader.
const EVENT_BATCH: u32 = 12_000;

/// The agent of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Callee {
    /// Returns its input.
    Echo,
    /// Returns its large input.
    LargeEcho,
    /// Calls the echo.
    Relay,
    /// Takes a struct.
    Order,
    /// Takes a struct with validated fields.
    LimitedOrder,
}

/// The operations of a contender. Each fails if a message is lost.
pub(super) trait Calls: Clone + Send + Sync + 'static {
    /// Sends a body and waits for the answer.
    fn call(&self, callee: Callee) -> impl Future<Output = Result<()>> + Send;
    /// Reads a stream of `messages` chunks; returns the time to the first one.
    fn chunks(&self, messages: u32) -> impl Future<Output = Result<Duration>> + Send;
    /// Has events published, and receives all of them by each subscriber.
    fn events(&self, messages: u32, subscribers: u32) -> impl Future<Output = Result<()>> + Send;
    /// Puts a body under `key`.
    fn put(&self, key: &str) -> impl Future<Output = Result<()>> + Send;
    /// Reads the body from `key`.
    fn get(&self, key: &str) -> impl Future<Output = Result<()>> + Send;
    /// Puts a body under `key` repeatedly; returns the seconds until a watch delivers each.
    fn watch(&self, key: &str, messages: u32) -> impl Future<Output = Result<Vec<f64>>> + Send;
}

/// Splits a number of events into batches of which no subscriber loses any.
pub(super) fn batches(events: u32) -> impl Iterator<Item = u32> + Send {
    (0..events)
        .step_by(EVENT_BATCH as usize)
        .map(move |published| EVENT_BATCH.min(events - published))
}

/// Reads from each subscription in a task, and returns the subscriptions.
pub(super) async fn take_all<S, F>(
    subscriptions: Vec<S>,
    take: impl Fn(S) -> F + Send,
) -> Result<Vec<S>>
where
    S: Send + 'static,
    F: Future<Output = Result<S>> + Send + 'static,
{
    let taking: Vec<_> = subscriptions
        .into_iter()
        .map(take)
        .map(tokio::spawn)
        .collect();
    let mut subscriptions = Vec::new();
    for taken in taking {
        subscriptions.push(taken.await??);
    }
    Ok(subscriptions)
}
