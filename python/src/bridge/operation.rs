//! Operations: tasks of the runtime whose results are futures of an event loop.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt;
use futures::future::{AbortHandle, Abortable};
use openagentmesh::Error;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::event_loop::{LoopQueue, running_loop};
use super::pending::{self, Pending};
use super::submissions::Job;
use crate::{errors, runtime};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

static FUTURE_CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Runs `work` on the runtime. Returns a future of the running event loop, whose result is that of `convert`.
///
/// Cancelling the future drops `work`. `convert` runs in the thread of the event loop, unless the future was cancelled.
///
/// # Errors
///
/// `RuntimeError` when no event loop runs, or in a forked process.
pub(crate) fn start<'py, T, F, C>(
    py: Python<'py>,
    work: F,
    convert: C,
) -> PyResult<Bound<'py, PyAny>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
    C: for<'a> FnOnce(Python<'a>, T) -> PyResult<Bound<'a, PyAny>> + Send + 'static,
{
    let runtime = runtime::get()?.handle();
    let event_loop = running_loop(py)?;
    let queue = LoopQueue::of(py, &event_loop)?;
    let (id, future) = new_future(py)?;
    let (abort, registration) = AbortHandle::new_pair();
    insert(id, &future, Some(abort), &queue);
    let loop_queue = Arc::clone(&queue);
    let task = async move {
        let result = AssertUnwindSafe(work).catch_unwind().await;
        let result = result.unwrap_or_else(|panic| Err(errors::panicked(&*panic)));
        loop_queue.push(Box::new(move |py| resolve(py, id, result, convert)));
    };
    let task = Abortable::new(task, registration).map(drop).boxed();
    queue.submit_on(py, &event_loop, runtime, Job::Start(task));
    Ok(future)
}

/// A future of the event loop of `queue`, which must run in this thread, and the id by which [`finish`] resolves it.
pub(crate) fn bare<'py>(
    py: Python<'py>,
    queue: &Arc<LoopQueue>,
) -> PyResult<(u64, Bound<'py, PyAny>)> {
    let (id, future) = new_future(py)?;
    insert(id, &future, None, queue);
    Ok((id, future))
}

/// Resolves a [`bare`] future with `None`, from any thread.
pub(crate) fn finish(queue: &Arc<LoopQueue>, id: u64) {
    queue.push(Box::new(move |py| {
        resolve(py, id, Ok(()), |py, ()| Ok(py.None().into_bound(py)));
    }));
}

fn new_future(py: Python<'_>) -> PyResult<(u64, Bound<'_, PyAny>)> {
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let class = FUTURE_CLASS.import(py, "openagentmesh._bridge", "Operation")?;
    let future = class.call0()?;
    future.setattr(intern!(py, "operation_id"), id)?;
    Ok((id, future))
}

fn insert(id: u64, future: &Bound<'_, PyAny>, task: Option<AbortHandle>, queue: &LoopQueue) {
    let future = future.clone().unbind();
    pending::insert(
        id,
        Pending {
            future,
            task,
            queue: queue.id,
        },
    );
}

/// Gives the future its result. Runs in the thread of the event loop.
fn resolve<T, C>(py: Python<'_>, id: u64, result: Result<T, Error>, convert: C)
where
    C: for<'a> FnOnce(Python<'a>, T) -> PyResult<Bound<'a, PyAny>>,
{
    let Some(operation) = pending::remove(id) else {
        runtime::dispose(result);
        return;
    };
    let future = operation.future.bind(py);
    let result = match result {
        Ok(value) => convert(py, value),
        Err(error) => Err(errors::exception(py, &error)),
    };
    let set = match result {
        Ok(value) => future.call_method1(intern!(py, "set_result"), (value,)),
        Err(error) => future.call_method1(intern!(py, "set_exception"), (error.into_value(py),)),
    };
    if let Err(error) = set {
        // The program has set a result of its own.
        error.write_unraisable(py, Some(future));
    }
}

/// Aborts an operation whose future was cancelled.
#[pyfunction]
pub(crate) fn abort_operation(id: u64) {
    // The lock may be held by a thread that a forked process does not have.
    if runtime::is_forked() {
        return;
    }
    if let Some(task) = pending::remove(id).and_then(|pending| pending.task) {
        task.abort();
    }
}
