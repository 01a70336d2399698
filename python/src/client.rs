//! The verbs of a client.

use std::pin::Pin;

use openagentmesh::serde_json::value::RawValue;
use openagentmesh::{Client, ConnectionState};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::arguments::{Headers, Input, duration, json, optional};
use crate::bridge::event_loop::LoopQueue;
use crate::bridge::operation;
use crate::callback;
use crate::chunks::PyChunks;
use crate::errors;
use crate::events::PyEvents;
use crate::kv::PyKv;
use crate::objects::{raw_bytes, to_json};
use crate::runtime::{self, Guarded};
use crate::workspace::PyWorkspace;

/// The verbs of a mesh, or of the client of a request.
#[pyclass(name = "Client", module = "openagentmesh._core", subclass, frozen)]
pub(crate) struct PyClient {
    client: Guarded<Client>,
}

impl PyClient {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client: Guarded::new(client),
        }
    }

    /// The client.
    ///
    /// # Errors
    ///
    /// `RuntimeError` in a forked process.
    pub(crate) fn get(&self) -> PyResult<&Client> {
        runtime::get()?;
        Ok(&self.client)
    }
}

#[pymethods]
impl PyClient {
    #[getter]
    fn url(&self) -> &str {
        self.client.url()
    }

    #[getter]
    fn instance_id(&self) -> &str {
        self.client.instance_id().as_str()
    }

    #[getter]
    fn connection_state(&self) -> PyResult<&'static str> {
        Ok(match self.get()?.status() {
            ConnectionState::Lost | ConnectionState::Refused => "reconnecting",
            ConnectionState::Closed => "closed",
            _ => "connected",
        })
    }

    #[pyo3(signature = (name, body = None, timeout = None, headers = None))]
    fn call<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        body: Option<&[u8]>,
        timeout: Option<f64>,
        headers: Headers,
    ) -> PyResult<Bound<'py, PyAny>> {
        let input = Input::new(body).map_err(|error| errors::exception(py, &error))?;
        let mut call = self.get()?.call::<Box<RawValue>>(name, input);
        if let Some(timeout) = optional("timeout", timeout)? {
            call = call.timeout(timeout);
        }
        for (name, value) in headers.into_iter().flatten() {
            call = call.header(name, value);
        }
        operation::start(py, call, |py, reply| Ok(raw_bytes(py, &reply)))
    }

    #[pyo3(signature = (name, body = None, timeout = None, headers = None, chunk_timeout = None, window = None))]
    #[expect(clippy::too_many_arguments, reason = "each is an option of Python")]
    fn stream<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        body: Option<&[u8]>,
        timeout: Option<f64>,
        headers: Headers,
        chunk_timeout: Option<f64>,
        window: Option<u32>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let input = Input::new(body).map_err(|error| errors::exception(py, &error))?;
        let mut stream = self.get()?.stream::<Box<RawValue>>(name, input);
        if let Some(timeout) = optional("timeout", timeout)? {
            stream = stream.timeout(timeout);
        }
        if let Some(timeout) = optional("chunk_timeout", chunk_timeout)? {
            stream = stream.chunk_timeout(timeout);
        }
        if let Some(window) = window {
            stream = stream.window(window);
        }
        for (name, value) in headers.into_iter().flatten() {
            stream = stream.header(name, value);
        }
        operation::start(py, stream, |py, chunks| {
            Ok(Bound::new(py, PyChunks::new(chunks))?.into_any())
        })
    }

    #[pyo3(signature = (
        name, body = None, timeout = None, headers = None, reply_to = None, on_reply = None, on_error = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is an option of Python")]
    fn send<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        body: Option<&[u8]>,
        timeout: Option<f64>,
        headers: Headers,
        reply_to: Option<&str>,
        on_reply: Option<Py<PyAny>>,
        on_error: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let input = Input::new(body).map_err(|error| errors::exception(py, &error))?;
        let mut request = self.get()?.send(name, input);
        if let Some(timeout) = optional("timeout", timeout)? {
            request = request.timeout(timeout);
        }
        for (name, value) in headers.into_iter().flatten() {
            request = request.header(name, value);
        }
        if let Some(subject) = reply_to {
            request = request.reply_to(subject);
        }
        if let Some(on_reply) = on_reply {
            let queue = LoopQueue::current(py)?;
            request = request.on_reply(move |reply: Box<RawValue>| {
                queue.push(Box::new(move |py| {
                    callback::run(py, &on_reply, (raw_bytes(py, &reply),));
                }));
                std::future::ready(())
            });
        }
        if let Some(on_error) = on_error {
            let queue = LoopQueue::current(py)?;
            request = request.on_error(move |error| {
                queue.push(Box::new(move |py| {
                    let error = errors::exception(py, &error).into_value(py);
                    callback::run(py, &on_error, (error,));
                }));
                std::future::ready(())
            });
        }
        operation::start(py, request, |py, ()| Ok(py.None().into_bound(py)))
    }

    #[pyo3(signature = (subject, body, kind = "json", headers = None, timeout = None))]
    fn publish<'py>(
        &self,
        py: Python<'py>,
        subject: &str,
        body: &[u8],
        kind: &str,
        headers: Headers,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let client = self.get()?;
        let mut publish = match kind {
            "json" => {
                let event = json(body).map_err(|error| errors::exception(py, &error))?;
                client.publish(subject, event)
            }
            "text" => client.publish_text(subject, text(body)?),
            "bytes" => client.publish_bytes(subject, body.to_vec()),
            _ => {
                return Err(PyValueError::new_err(format!(
                    "invalid kind '{kind}': json, text and bytes are allowed"
                )));
            }
        };
        if let Some(timeout) = optional("timeout", timeout)? {
            publish = publish.timeout(timeout);
        }
        for (name, value) in headers.into_iter().flatten() {
            publish = publish.header(name, value);
        }
        operation::start(py, publish, |py, ()| Ok(py.None().into_bound(py)))
    }

    #[pyo3(signature = (*, agent = None, channel = None, subject = None, timeout = None, check = true))]
    fn subscribe<'py>(
        &self,
        py: Python<'py>,
        agent: Option<&str>,
        channel: Option<&str>,
        subject: Option<&str>,
        timeout: Option<f64>,
        check: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let client = self.get()?;
        let mut subscribe = match (agent, channel, subject) {
            (Some(agent), None, None) => client.subscribe::<()>(agent),
            (None, Some(channel), None) => client.subscribe_channel(channel),
            (None, None, Some(subject)) => client.subscribe_subject(subject),
            (None, None, None) => {
                return Err(PyValueError::new_err(
                    "missing selector: Provide one of agent, channel and subject",
                ));
            }
            _ => {
                return Err(PyValueError::new_err(
                    "conflicting selectors: agent, channel and subject are mutually exclusive; provide one",
                ));
            }
        };
        if let Some(timeout) = optional("timeout", timeout)? {
            subscribe = subscribe.timeout(timeout);
        }
        if !check {
            subscribe = subscribe.expected();
        }
        operation::start(py, subscribe.raw(), |py, events| {
            Ok(Bound::new(py, PyEvents::new(events))?.into_any())
        })
    }

    #[pyo3(signature = (channel = None, tags = None, streaming = None, invocable = None, fresh = false))]
    fn catalog<'py>(
        &self,
        py: Python<'py>,
        channel: Option<String>,
        tags: Option<Vec<String>>,
        streaming: Option<bool>,
        invocable: Option<bool>,
        fresh: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut query = self.get()?.catalog();
        if fresh {
            query = query.fresh();
        }
        let query = filtered(query, channel, tags, streaming, invocable);
        operation::start(py, query, |py, entries| to_json(py, &entries))
    }

    #[pyo3(signature = (channel = None, tags = None, streaming = None, invocable = None))]
    fn discover<'py>(
        &self,
        py: Python<'py>,
        channel: Option<String>,
        tags: Option<Vec<String>>,
        streaming: Option<bool>,
        invocable: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let query = self.get()?.discover();
        let query = filtered(query, channel, tags, streaming, invocable);
        operation::start(py, query, |py, contracts| to_json(py, &contracts))
    }

    fn contract<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        operation::start(py, self.get()?.contract(name), |py, contract| {
            to_json(py, &contract)
        })
    }

    #[pyo3(signature = (name, timeout = None))]
    fn wait_for<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut wait = self.get()?.wait_for(name);
        if let Some(timeout) = timeout {
            wait = wait.timeout(duration("timeout", timeout)?);
        }
        operation::start(py, wait, |py, entry| to_json(py, &entry))
    }

    #[getter]
    fn kv(&self) -> PyResult<PyKv> {
        Ok(PyKv::new(self.get()?.kv()))
    }

    #[getter]
    fn workspace(&self) -> PyResult<PyWorkspace> {
        Ok(PyWorkspace::new(self.get()?.workspace()))
    }
}

/// Adds filters to a query, which is a future of its results.
fn filtered<T: Send + 'static>(
    mut query: openagentmesh::Query<T>,
    channel: Option<String>,
    tags: Option<Vec<String>>,
    streaming: Option<bool>,
    invocable: Option<bool>,
) -> Pin<Box<openagentmesh::Query<T>>> {
    if let Some(channel) = channel {
        query = query.channel(channel);
    }
    if let Some(tags) = tags {
        query = query.tags(tags);
    }
    if let Some(streaming) = streaming {
        query = query.streaming(streaming);
    }
    if let Some(invocable) = invocable {
        query = query.invocable(invocable);
    }
    Box::pin(query)
}

/// # Errors
///
/// `ValueError` when `body` is not UTF-8.
fn text(body: &[u8]) -> PyResult<&str> {
    std::str::from_utf8(body)
        .map_err(|error| PyValueError::new_err(format!("invalid text: {error}; UTF-8 is allowed")))
}
