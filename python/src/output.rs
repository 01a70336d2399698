//! The output of a handler: chunks from Python to the host, in a bounded buffer, and the end.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures::Stream;
use openagentmesh::{BoxError, Error};
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::bridge::event_loop::LoopQueue;
use crate::bridge::operation;
use crate::callback;
use crate::sync::lock;

/// The most chunks that wait for the host; then the handler waits.
const MAX_WAITING_CHUNKS: usize = 256;

/// The most bytes of chunks that wait for the host, unless one chunk has more.
const MAX_WAITING_BYTES: usize = 1024 * 1024;

/// The output of one run of a handler.
pub(crate) struct Output {
    state: Mutex<State>,
    room: Condvar,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    /// Set by the handler; the error is taken by the host.
    end: Option<Result<(), Option<Error>>>,
    /// Whether the host has dropped the request before its end.
    is_cancelled: bool,
    /// The host's task, while it waits for a chunk.
    host: Option<Waker>,
    /// The future of a handler that waits for room.
    waiting: Option<(Arc<LoopQueue>, u64)>,
    on_cancel: Option<Py<PyAny>>,
}

impl State {
    fn is_full(&self) -> bool {
        self.chunks.len() >= MAX_WAITING_CHUNKS || self.bytes >= MAX_WAITING_BYTES
    }

    /// Whether a handler that waits may go on: half of the buffer is free, so that it fills many chunks at once.
    fn has_room(&self) -> bool {
        self.chunks.len() <= MAX_WAITING_CHUNKS / 2 && self.bytes <= MAX_WAITING_BYTES / 2
    }
}

impl Output {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            room: Condvar::new(),
        })
    }

    /// Whether the handler has ended, or the request was cancelled.
    pub(crate) fn is_ended(&self) -> bool {
        let state = lock(&self.state);
        state.end.is_some() || state.is_cancelled
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        lock(&self.state).is_cancelled
    }

    /// Adds a chunk. Returns `false` when the next chunk must wait. `wake` wakes the host.
    pub(crate) fn push(&self, chunk: &[u8], wake: impl FnOnce(Waker)) -> bool {
        let chunk = Bytes::copy_from_slice(chunk);
        let (host, has_room) = {
            let mut state = lock(&self.state);
            if state.end.is_some() || state.is_cancelled {
                return true;
            }
            state.bytes += chunk.len();
            state.chunks.push_back(chunk);
            (state.host.take(), !state.is_full())
        };
        if let Some(host) = host {
            wake(host);
        }
        has_room
    }

    /// Resolves the future `id` of the event loop of `queue` when there is room.
    pub(crate) fn when_room(&self, queue: Arc<LoopQueue>, id: u64) {
        let mut state = lock(&self.state);
        if state.end.is_some() || state.is_cancelled || state.has_room() {
            drop(state);
            operation::finish(&queue, id);
            return;
        }
        let previous = state.waiting.replace((queue, id));
        drop(state);
        // A second chunk was sent without a wait for the first.
        release(previous);
    }

    /// Blocks until there is room, or the request has ended.
    pub(crate) fn wait_for_room(&self) {
        let state = lock(&self.state);
        let must_wait =
            |state: &mut State| state.end.is_none() && !state.is_cancelled && !state.has_room();
        let waited = self.room.wait_while(state, must_wait);
        drop(waited);
    }

    /// Ends the output, after `body` if it is not empty. `wake` wakes the host.
    pub(crate) fn finish(&self, body: &[u8], wake: impl FnOnce(Waker)) {
        let body = Bytes::copy_from_slice(body);
        self.end(Ok(()), Some(body).filter(|body| !body.is_empty()), wake);
    }

    /// Ends the output with an error, after the chunks before it.
    pub(crate) fn fail(&self, error: Error) {
        self.end(Err(Some(error)), None, Waker::wake);
    }

    fn end(&self, end: Result<(), Option<Error>>, last: Option<Bytes>, wake: impl FnOnce(Waker)) {
        let (host, waiting, on_cancel) = {
            let mut state = lock(&self.state);
            if state.end.is_some() || state.is_cancelled {
                return;
            }
            state.chunks.extend(last);
            state.end = Some(end);
            (
                state.host.take(),
                state.waiting.take(),
                state.on_cancel.take(),
            )
        };
        self.room.notify_all();
        release(waiting);
        if let Some(host) = host {
            wake(host);
        }
        // Dropped without the lock: the drop may run Python code.
        drop(on_cancel);
    }

    /// Sets the function that is called on a cancellation. Returns a function that is not kept.
    pub(crate) fn on_cancel(&self, callback: Option<Py<PyAny>>) -> Option<Py<PyAny>> {
        let mut state = lock(&self.state);
        if state.end.is_some() || state.is_cancelled {
            return callback;
        }
        let previous = std::mem::replace(&mut state.on_cancel, callback);
        drop(state);
        drop(previous);
        None
    }

    /// Shows the function for a cancellation to the garbage collector.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        // A holder of the lock may take the function away. It is then no garbage.
        match self.state.try_lock() {
            Ok(state) => state
                .on_cancel
                .as_ref()
                .map_or(Ok(()), |on_cancel| visit.call(on_cancel)),
            Err(_) => Ok(()),
        }
    }

    fn cancel(&self, queue: &Arc<LoopQueue>) {
        let (waiting, on_cancel) = {
            let mut state = lock(&self.state);
            if state.end.is_some() {
                return;
            }
            state.is_cancelled = true;
            (state.waiting.take(), state.on_cancel.take())
        };
        self.room.notify_all();
        if let Some(on_cancel) = on_cancel {
            queue.push(Box::new(move |py| callback::run(py, &on_cancel, ())));
        }
        release(waiting);
    }
}

fn release(waiting: Option<(Arc<LoopQueue>, u64)>) {
    if let Some((queue, id)) = waiting {
        operation::finish(&queue, id);
    }
}

/// The output as the host polls it. Dropping it before the end cancels the request.
pub(crate) struct OutputStream {
    output: Arc<Output>,
    queue: Arc<LoopQueue>,
}

impl OutputStream {
    pub(crate) fn new(output: Arc<Output>, queue: Arc<LoopQueue>) -> Self {
        Self { output, queue }
    }
}

impl Stream for OutputStream {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let (item, waiting) = {
            let mut state = lock(&self.output.state);
            if let Some(chunk) = state.chunks.pop_front() {
                state.bytes -= chunk.len().min(state.bytes);
                let waiting = match state.has_room() {
                    true => {
                        self.output.room.notify_all();
                        state.waiting.take()
                    }
                    false => None,
                };
                (Some(Ok(chunk)), waiting)
            } else {
                match &mut state.end {
                    None => {
                        state.host = Some(context.waker().clone());
                        return Poll::Pending;
                    }
                    Some(Ok(())) => (None, None),
                    Some(Err(error)) => (error.take().map(|error| Err(error.into())), None),
                }
            }
        };
        release(waiting);
        Poll::Ready(item)
    }
}

impl Drop for OutputStream {
    fn drop(&mut self) {
        self.output.cancel(&self.queue);
    }
}
