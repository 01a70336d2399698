//! A request to an agent of this process: the end that Python holds, and the stream that the host polls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use openagentmesh::protocol::Usage;
use openagentmesh::serde_json::{Map, Value};
use openagentmesh::{Context, Error};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::{PyTraverseError, PyVisit};

use crate::bridge::event_loop::LoopQueue;
use crate::bridge::operation;
use crate::bridge::{Job, RUNNING_REQUESTS, TimeSlice};
use crate::callback;
use crate::client::PyClient;
use crate::exit;
use crate::output::Output;
use crate::runtime;

/// A request to an agent of this process.
///
/// A request that is dropped before its end fails.
#[pyclass(name = "Request", module = "openagentmesh._core", frozen, weakref)]
pub(crate) struct PyRequest {
    request: Arc<Request>,
    time_slice: TimeSlice,
}

/// The parts of a request that both ends use.
pub(crate) struct Request {
    context: Context,
    body: bytes::Bytes,
    output: Arc<Output>,
    queue: Arc<LoopQueue>,
}

impl Request {
    pub(crate) fn new(
        context: Context,
        body: bytes::Bytes,
        output: Arc<Output>,
        queue: Arc<LoopQueue>,
    ) -> Self {
        Self {
            context,
            body,
            output,
            queue,
        }
    }

    /// Hands the request to `start`. Runs in the thread of the event loop.
    pub(crate) fn start(self, py: Python<'_>, start: &Py<PyAny>) {
        if self.output.is_ended() {
            // The caller has left in the meantime.
            runtime::dispose(self);
            return;
        }
        RUNNING_REQUESTS.fetch_add(1, Ordering::Relaxed);
        let output = Arc::clone(&self.output);
        let request = PyRequest {
            request: Arc::new(self),
            time_slice: TimeSlice::default(),
        };
        let started = Bound::new(py, request).and_then(|request| start.bind(py).call1((request,)));
        if let Err(error) = started {
            let message = format!("the handler could not be started: {}", error.value(py));
            output.fail(Error::new("handler_error", message));
        }
    }
}

impl Drop for PyRequest {
    fn drop(&mut self) {
        RUNNING_REQUESTS.fetch_sub(1, Ordering::Relaxed);
        if runtime::is_forked() {
            std::mem::forget(Arc::clone(&self.request));
            return;
        }
        if !self.request.output.is_ended() {
            let message = "the handler ended without an answer: its task or event loop was closed";
            self.request
                .output
                .fail(Error::new("handler_error", message));
        }
    }
}

#[pymethods]
impl PyRequest {
    /// The function for a cancellation usually belongs to the task of the handler, which has the request: without this
    /// method a task that ends without an answer would keep its request alive.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.request.output.traverse(&visit)
    }

    fn __clear__(&self) {
        drop(self.request.output.on_cancel(None));
    }

    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.request.body)
    }

    #[getter]
    fn agent(&self) -> &str {
        let agent = self.request.context.agent();
        agent.map_or("", |agent| agent.as_str())
    }

    #[getter]
    fn request_id(&self) -> &str {
        self.request.context.request_id().as_str()
    }

    #[getter]
    fn caller(&self) -> Option<&str> {
        self.request.context.caller().map(|caller| caller.as_str())
    }

    #[getter]
    fn headers(&self) -> BTreeMap<&str, &str> {
        self.request.context.headers().iter().collect()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.request.context.header(name)
    }

    #[getter]
    fn time_left(&self) -> Option<f64> {
        self.request
            .context
            .time_left()
            .map(|left| left.as_secs_f64())
    }

    #[getter]
    fn client(&self) -> PyClient {
        PyClient::new(self.request.context.mesh().clone())
    }

    fn set_usage(&self, usage: &[u8]) -> PyResult<()> {
        // A list would be read as a struct, too.
        let usage = serde_json::from_slice::<Map<String, Value>>(usage)
            .and_then(|fields| serde_json::from_value::<Usage>(Value::Object(fields)));
        let usage = usage.map_err(|error| {
            PyValueError::new_err(format!(
                "invalid usage: {error}; an object with the fields of Usage is allowed"
            ))
        })?;
        self.request.context.report_usage(usage);
        Ok(())
    }

    #[getter]
    fn cancelled(&self) -> bool {
        self.request.output.is_cancelled()
    }

    fn on_cancel(&self, callback: Option<Py<PyAny>>) {
        let unused = self.request.output.on_cancel(callback);
        if let Some(late) = unused.filter(|_| self.request.output.is_cancelled()) {
            let item = move |py: Python<'_>| callback::run(py, &late, ());
            self.request.queue.push(Box::new(item));
        }
    }

    #[pyo3(signature = (body = None), text_signature = "($self, body=b'')")]
    fn finish(&self, py: Python<'_>, body: Option<&[u8]>) {
        let output = &self.request.output;
        output.finish(body.unwrap_or_default(), |host| wake(py, host));
    }

    #[pyo3(signature = (code, message, details = None))]
    fn fail(&self, code: &str, message: &str, details: Option<&[u8]>) -> PyResult<()> {
        let mut error = Error::new(code, message);
        if let Some(details) = details {
            let details: Map<String, Value> = serde_json::from_slice(details).map_err(|error| {
                PyValueError::new_err(format!(
                    "invalid details: {error}; one JSON object is allowed"
                ))
            })?;
            for (field, value) in details {
                error = error.with_detail(field, value);
            }
        }
        self.request.output.fail(error);
        Ok(())
    }

    fn send_chunk<'py>(
        &self,
        py: Python<'py>,
        chunk: &[u8],
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let has_room = self.request.output.push(chunk, |host| wake(py, host));
        if has_room && !self.time_slice.is_over() {
            return Ok(None);
        }
        let queue = LoopQueue::current(py)?;
        let (id, future) = operation::bare(py, &queue)?;
        self.request.output.when_room(queue, id);
        self.time_slice.restart();
        Ok(Some(future))
    }

    fn send_chunk_blocking(&self, py: Python<'_>, chunk: &[u8]) -> bool {
        let output = &self.request.output;
        if exit::is_begun() {
            return false;
        }
        if !output.push(chunk, Waker::wake) {
            exit::detached(py, || output.wait_for_room());
        }
        !output.is_ended()
    }
}

/// Wakes the host's task of a request, together with the others of this iteration of the event loop.
fn wake(py: Python<'_>, host: Waker) {
    LoopQueue::submit(py, Job::Wake(host));
}
