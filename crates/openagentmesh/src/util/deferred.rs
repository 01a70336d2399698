//! Operations that are built first and run when they are polled.

use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::error::{Error, Result};
use openagentmesh_protocol::ErrorCode;

/// The state of a builder that is a future itself: its parts until the first poll, then the running
/// operation, boxed once.
pub(crate) struct Deferred<'f, P, T> {
    parts: Option<P>,
    running: Option<BoxFuture<'f, T>>,
}

impl<'f, P, T> Deferred<'f, P, T> {
    pub(crate) fn new(parts: P) -> Self {
        Self {
            parts: Some(parts),
            running: None,
        }
    }

    /// Changes the parts. Does nothing once the operation runs.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut P)) {
        if let Some(parts) = &mut self.parts {
            change(parts);
        }
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

    /// Polls the operation, which `start` starts on the first poll.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        start: impl FnOnce(P) -> BoxFuture<'f, T>,
    ) -> Poll<T> {
        if let Some(parts) = self.parts.take() {
            self.running = Some(start(parts));
        }
        match &mut self.running {
            Some(running) => running.poll_unpin(cx),
            // `start` panicked.
            None => Poll::Pending,
        }
    }
}

impl<'f, P, T: Send + 'f> Deferred<'f, P, Result<T>> {
    /// An operation of `parts`; with their error, one that fails with it.
    pub(crate) fn of(parts: Result<P>) -> Self {
        match parts {
            Ok(parts) => Self::new(parts),
            Err(error) => Self {
                parts: None,
                running: Some(std::future::ready(Err(error)).boxed()),
            },
        }
    }
}
