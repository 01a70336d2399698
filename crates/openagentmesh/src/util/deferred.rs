//! Operations that are built first and run when they are polled.

use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use openagentmesh_protocol::ErrorCode;

use crate::error::{Error, Result};

/// The state of a builder that is a future itself: its parts until the first poll, then the running
/// operation, boxed once.
pub(crate) struct Deferred<'f, P, T> {
    parts: Option<P>,
    /// Starts the operation. Kept here, so that only the constructor needs the bounds of the operation.
    start: fn(P) -> BoxFuture<'f, T>,
    running: Option<BoxFuture<'f, T>>,
}

impl<'f, P, T> Deferred<'f, P, T> {
    pub(crate) fn new(parts: P, start: fn(P) -> BoxFuture<'f, T>) -> Self {
        Self {
            parts: Some(parts),
            start,
            running: None,
        }
    }

    /// Changes the parts. Does nothing once the operation runs.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut P)) {
        if let Some(parts) = &mut self.parts {
            change(parts);
        }
    }

    /// The parts; `None` once the operation runs.
    pub(crate) fn parts(&self) -> Option<&P> {
        self.parts.as_ref()
    }

    /// The parts, for another operation.
    ///
    /// # Errors
    ///
    /// `invalid_input` when the operation runs already.
    pub(crate) fn into_parts(self) -> Result<P> {
        self.parts.ok_or_else(|| {
            Error::raised(
                ErrorCode::InvalidInput,
                "the operation has started: options must be given before the first poll",
            )
        })
    }

    /// Polls the operation. The first poll starts it.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        if let Some(parts) = self.parts.take() {
            self.running = Some((self.start)(parts));
        }
        match &mut self.running {
            Some(running) => running.poll_unpin(cx),
            // `start` panicked.
            None => Poll::Pending,
        }
    }
}

impl<'f, P, T: Send + 'f> Deferred<'f, P, Result<T>> {
    /// An operation of `parts`; without them, one that fails with their error.
    pub(crate) fn of(parts: Result<P>, start: fn(P) -> BoxFuture<'f, Result<T>>) -> Self {
        let (parts, running) = match parts {
            Ok(parts) => (Some(parts), None),
            Err(error) => (None, Some(std::future::ready(Err(error)).boxed())),
        };
        Self {
            parts,
            start,
            running,
        }
    }
}
