//! The operations that a caller measures.

use std::time::Duration;

use crate::error::Result;
use crate::measure::BodySize;

/// Number of events published at once: fewer than a subscriber buffers for a slow reader.
const EVENT_BATCH: u32 = 12_000;

/// The agent of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Callee {
    /// Returns its input, of this size.
    Echo(BodySize),
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
    fn chunks(
        &self,
        size: BodySize,
        messages: u32,
    ) -> impl Future<Output = Result<Duration>> + Send;
    /// Reads a token stream; returns the seconds from the creation to the receipt of each message.
    fn tokens(&self, messages: u32) -> impl Future<Output = Result<Vec<f64>>> + Send;
    /// Publishes medium bodies to the sink.
    fn publish(&self, messages: u32) -> impl Future<Output = Result<()>> + Send;
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
    parts(events, EVENT_BATCH)
}

/// Splits `all` into parts of at most `largest`.
pub(super) fn parts(all: u32, largest: u32) -> impl Iterator<Item = u32> + Send {
    (0..all)
        .step_by(largest as usize)
        .map(move |first| largest.min(all - first))
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
