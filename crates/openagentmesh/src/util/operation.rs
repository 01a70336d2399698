//! An operation without options.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::error::Result;

/// An operation. A future: the operation starts when it is first polled. Returned by the methods of [`Kv`],
/// [`Workspace`], [`AgentMesh`] and [`Client`] that have no options.
///
/// The operation holds its handle of the mesh, and borrows only from its arguments. Therefore it can be joined,
/// spawned, selected and collected, also as `tokio::spawn(mesh.kv().get("key"))`.
///
/// # Errors
///
/// Those of the method.
///
/// [`AgentMesh`]: crate::AgentMesh
/// [`Client`]: crate::Client
/// [`Kv`]: crate::Kv
/// [`Workspace`]: crate::Workspace
#[must_use = "an operation starts when it is awaited"]
pub struct Operation<'a, T>(BoxFuture<'a, Result<T>>);

impl<'a, T> Operation<'a, T> {
    pub(crate) fn new(work: impl Future<Output = Result<T>> + Send + 'a) -> Self {
        Self(work.boxed())
    }
}

impl<T> Future for Operation<'_, T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_unpin(cx)
    }
}

impl<T> fmt::Debug for Operation<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation").finish_non_exhaustive()
    }
}
