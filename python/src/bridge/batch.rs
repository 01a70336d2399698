//! Streams of the SDK, handed over many items at a time.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures::{Stream, StreamExt};
use pyo3::prelude::*;
use pyo3::types::PyList;
use tokio_util::sync::CancellationToken;

use super::operation;
use super::time_slice::TimeSlice;
use crate::runtime;
use crate::runtime::{Guarded, dispose};
use crate::sync::lock;

/// The most items of one batch, whatever the caller asks for: the loop runs other work between two batches.
const MAX_BATCH_ITEMS: usize = 4096;

/// A stream whose items a Python object takes in batches.
///
/// The items that have arrived are taken in the caller's thread, without a task. Otherwise a task waits for the first. A
/// caller that takes items all the time waits once in each time slice, so that its loop runs others.
pub(crate) struct Batches<S: Stream>(Arc<Shared<S>>);

/// An item of a stream as Python gets it.
pub(crate) trait BatchItem: Send + 'static {
    /// The object of the item in the list.
    ///
    /// # Errors
    ///
    /// The exception that ends the stream.
    fn into_object<'py>(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>>;

    /// Whether the item is an exception, which is raised alone, after the items before it.
    fn is_raised(&self) -> bool;
}

struct Shared<S: Stream> {
    /// `None` after the end.
    stream: tokio::sync::Mutex<Option<Guarded<S>>>,
    /// Items that a task has taken from the stream, and no list has yet. They stay when a batch is cancelled.
    ready: Mutex<VecDeque<S::Item>>,
    closed: CancellationToken,
    time_slice: TimeSlice,
}

impl<S> Batches<S>
where
    S: Stream + Send + Unpin + 'static,
    S::Item: BatchItem,
{
    pub(crate) fn new(stream: S) -> Self {
        Self(Arc::new(Shared {
            stream: tokio::sync::Mutex::new(Some(Guarded::new(stream))),
            ready: Mutex::default(),
            closed: CancellationToken::new(),
            time_slice: TimeSlice::default(),
        }))
    }

    /// A list of the next items, at most `max`, or a future of it. The list is empty at the end of the stream.
    ///
    /// # Errors
    ///
    /// The exception of an item that is raised.
    pub(crate) fn next<'py>(&self, py: Python<'py>, max: usize) -> PyResult<Bound<'py, PyAny>> {
        let max = max.clamp(1, MAX_BATCH_ITEMS);
        if self.0.take_arrived(max)? && !self.0.time_slice.is_over() {
            return Ok(list(py, self.0.batch(max))?.into_any());
        }
        let shared = Arc::clone(&self.0);
        operation::start(
            py,
            async move {
                shared.wait(max).await;
                Ok(shared)
            },
            move |py, shared| {
                shared.time_slice.restart();
                Ok(list(py, shared.batch(max))?.into_any())
            },
        )
    }

    /// Drops the stream.
    pub(crate) fn close(&self) {
        self.0.closed.cancel();
        lock(&self.0.ready).clear();
        if let Ok(mut stream) = self.0.stream.try_lock() {
            // A task that holds the lock ends, and drops the stream itself.
            drop(stream.take());
        }
    }
}

impl<S: Stream> Drop for Batches<S> {
    fn drop(&mut self) {
        if !runtime::is_forked() {
            self.0.closed.cancel();
        }
    }
}

impl<S> Shared<S>
where
    S: Stream + Send + Unpin + 'static,
    S::Item: BatchItem,
{
    /// Moves the items that have arrived to `ready`, without a wait. Returns whether the next batch is complete.
    fn take_arrived(&self, max: usize) -> PyResult<bool> {
        if !lock(&self.ready).is_empty() {
            return Ok(true);
        }
        let runtime = runtime::get()?;
        let _entered = runtime.enter();
        let Ok(mut stream) = self.stream.try_lock() else {
            return Ok(false);
        };
        let mut context = Context::from_waker(Waker::noop());
        Ok(self.poll(&mut stream, max, &mut context).is_ready())
    }

    /// Waits for the next items and moves them to `ready`.
    async fn wait(&self, max: usize) {
        let mut stream = self.stream.lock().await;
        if !lock(&self.ready).is_empty() {
            return;
        }
        let arrived = std::future::poll_fn(|context| self.poll(&mut stream, max, context));
        if self.closed.run_until_cancelled(arrived).await.is_none() {
            drop(stream.take());
        }
    }

    /// Ready when there is at least one item, or the stream has ended.
    fn poll(
        &self,
        stream: &mut Option<Guarded<S>>,
        max: usize,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let mut count = 0;
        while count < max {
            let Some(open) = stream.as_mut() else {
                return Poll::Ready(());
            };
            match Pin::new(open.get_mut()).poll_next_unpin(context) {
                Poll::Ready(Some(item)) => lock(&self.ready).push_back(item),
                Poll::Ready(None) => {
                    drop(stream.take());
                    return Poll::Ready(());
                }
                Poll::Pending if count == 0 => return Poll::Pending,
                Poll::Pending => return Poll::Ready(()),
            }
            count += 1;
        }
        Poll::Ready(())
    }

    /// The items of the next list, or the single item that is raised.
    fn batch(&self, max: usize) -> Vec<S::Item> {
        let mut ready = lock(&self.ready);
        let end = ready.iter().position(BatchItem::is_raised);
        let count = match end {
            Some(0) => 1,
            Some(end) => end.min(max),
            None => ready.len().min(max),
        };
        ready.drain(..count).collect()
    }
}

fn list<'py, T: BatchItem>(py: Python<'py>, items: Vec<T>) -> PyResult<Bound<'py, PyList>> {
    let mut objects = Vec::with_capacity(items.len());
    let mut items = items.into_iter();
    for item in items.by_ref() {
        match item.into_object(py) {
            Ok(object) => objects.push(object),
            Err(error) => {
                dispose(items);
                return Err(error);
            }
        }
    }
    PyList::new(py, objects)
}
