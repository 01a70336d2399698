//! Where a request is begun: in a task of its own.

use std::any::Any;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;

use futures::future::BoxFuture;
use tokio_util::task::TaskTracker;

/// Runs each request in a task of its own.
pub(super) struct Pace;

impl Pace {
    pub(super) fn new() -> Self {
        Self
    }

    /// Runs a request.
    pub(super) fn run(
        &self,
        tasks: &TaskTracker,
        request: BoxFuture<'static, ()>,
    ) -> Result<(), Box<dyn Any + Send>> {
        tasks.spawn(request);
        Ok(())
    }

    pub(super) fn watch(&self) -> Watch<'_> {
        Watch(PhantomData)
    }
}

pub(super) struct Watch<'p>(PhantomData<&'p Pace>);

impl Watch<'_> {
    /// Runs `handler`.
    pub(super) fn until_it_waits<F: Future>(
        &mut self,
        mut handler: Pin<&mut F>,
    ) -> impl Future<Output = F::Output> {
        poll_fn(move |context| handler.as_mut().poll(context))
    }
}
