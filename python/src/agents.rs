//! Agents whose handlers are Python functions.

use std::sync::Arc;

use openagentmesh::serde_json::Value;
use openagentmesh::{Agent, AgentSpec, Error, RawHandler, RawRequest, Shape};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::arguments::optional;
use crate::bridge::event_loop::LoopQueue;
use crate::errors;
use crate::objects::to_json;
use crate::output::{Output, OutputStream};
use crate::request::Request;

/// An agent: its spec, its shape, its schemas, and the function that starts a request.
#[pyclass(name = "Agent", module = "openagentmesh._core", frozen)]
pub(crate) struct PyAgent {
    name: String,
    spec: AgentSpec,
    shape: Shape,
    input: Option<Value>,
    output: Option<Value>,
    chunk: Option<Value>,
    start: Arc<Py<PyAny>>,
}

#[pymethods]
impl PyAgent {
    #[new]
    #[pyo3(signature = (
        name, description, shape, start, *, version = "0.1.0", tags = vec![], channel = None, input_schema = None,
        output_schema = None, chunk_schema = None, concurrency = None, queue = None, timeout = None,
        idempotent = false, mcp = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is an option of Python")]
    fn new(
        name: &str,
        description: &str,
        shape: &str,
        start: Py<PyAny>,
        version: &str,
        tags: Vec<String>,
        channel: Option<&str>,
        input_schema: Option<&str>,
        output_schema: Option<&str>,
        chunk_schema: Option<&str>,
        concurrency: Option<usize>,
        queue: Option<usize>,
        timeout: Option<f64>,
        idempotent: bool,
        mcp: Option<bool>,
    ) -> PyResult<Self> {
        let mut spec = AgentSpec::new(name, description)
            .version(version)
            .tags(tags);
        let mut full_name = name.to_owned();
        if let Some(channel) = channel {
            full_name = format!("{channel}.{name}");
            spec = spec.channel(channel);
        }
        if let Some(limit) = concurrency {
            spec = spec.concurrency(limit);
        }
        if let Some(limit) = queue {
            spec = spec.queue(limit);
        }
        if let Some(timeout) = optional("timeout", timeout)? {
            spec = spec.timeout(timeout);
        }
        if idempotent {
            spec = spec.idempotent();
        }
        if let Some(is_exported) = mcp {
            spec = spec.mcp(is_exported);
        }
        Ok(Self {
            name: full_name,
            spec,
            shape: parse_shape(shape)?,
            input: schema("input", input_schema)?,
            output: schema("output", output_schema)?,
            chunk: schema("chunk", chunk_schema)?,
            start: Arc::new(start),
        })
    }

    #[getter]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    #[getter]
    fn shape(&self) -> String {
        self.shape.to_string()
    }

    fn contract<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let idle = RawHandler::of_shape(self.shape, |_| futures::stream::empty());
        let agent = self.spec.clone().raw(self.with_schemas(idle));
        let contract = agent
            .contract()
            .map_err(|error| errors::exception(py, &error))?;
        to_json(py, &contract)
    }
}

impl PyAgent {
    /// The agent, whose handlers are started on the event loop of `queue`.
    pub(crate) fn agent(&self, queue: &Arc<LoopQueue>) -> Agent {
        let (start, queue) = (Arc::clone(&self.start), Arc::clone(queue));
        let handler = RawHandler::of_shape(self.shape, move |request: RawRequest| {
            let output = Output::new();
            let request = Request::new(
                request.context,
                request.body,
                Arc::clone(&output),
                Arc::clone(&queue),
            );
            let start = Arc::clone(&start);
            if !queue.push(Box::new(move |py| request.start(py, &start))) {
                let message =
                    "the handler could not be started: the event loop of its agent is closed";
                output.fail(Error::new("handler_error", message));
            }
            OutputStream::new(output, Arc::clone(&queue))
        });
        self.spec.clone().raw(self.with_schemas(handler))
    }

    fn with_schemas(&self, mut handler: RawHandler) -> RawHandler {
        // pydantic validates, and takes inputs that its own schema does not describe.
        handler = handler.validates_input();
        if let Some(schema) = &self.input {
            handler = handler.input_schema(schema.clone());
        }
        if let Some(schema) = &self.output {
            handler = handler.output_schema(schema.clone());
        }
        if let Some(schema) = &self.chunk {
            handler = handler.chunk_schema(schema.clone());
        }
        handler
    }
}

fn parse_shape(shape: &str) -> PyResult<Shape> {
    Ok(match shape {
        "responder" => Shape::Responder,
        "streamer" => Shape::Streamer,
        "trigger" => Shape::Trigger,
        "publisher" => Shape::Publisher,
        "watcher" => Shape::Watcher,
        _ => {
            return Err(PyValueError::new_err(format!(
                "invalid shape '{shape}': responder, streamer, trigger, publisher and watcher are allowed"
            )));
        }
    })
}

fn schema(name: &str, text: Option<&str>) -> PyResult<Option<Value>> {
    let parse = |text| {
        openagentmesh::serde_json::from_str(text).map_err(|error| {
            PyValueError::new_err(format!(
                "invalid {name} schema: {error}; a JSON Schema as text is allowed"
            ))
        })
    };
    text.map(parse).transpose()
}

/// Checks an agent name.
#[pyfunction]
pub(crate) fn check_name(py: Python<'_>, name: &str) -> PyResult<()> {
    match openagentmesh::AgentName::new(name) {
        Ok(_) => Ok(()),
        Err(error) => Err(errors::exception(py, &Error::from(error))),
    }
}

/// The error of a mesh that was ended.
pub(crate) fn ended() -> PyErr {
    PyRuntimeError::new_err("the mesh has ended: abort() was called; connect again")
}
