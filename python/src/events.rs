//! Published events.

use std::collections::BTreeMap;

use bytes::Bytes;
use openagentmesh::protocol::ContentType;
use openagentmesh::{Error, Event, Events, Headers};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::bridge::batch::{BatchItem, Batches};
use crate::errors;

/// A subscription.
#[pyclass(name = "Events", module = "openagentmesh._core", frozen)]
pub(crate) struct PyEvents(Batches<Events<Bytes>>);

impl PyEvents {
    pub(crate) fn new(events: Events<Bytes>) -> Self {
        Self(Batches::new(events))
    }
}

#[pymethods]
impl PyEvents {
    #[pyo3(signature = (max = 256))]
    fn next_batch<'py>(&self, py: Python<'py>, max: usize) -> PyResult<Bound<'py, PyAny>> {
        self.0.next(py, max)
    }

    fn close(&self) {
        self.0.close();
    }
}

/// A published event.
#[pyclass(name = "Event", module = "openagentmesh._core", frozen)]
pub(crate) struct PyEvent(Event<Bytes>);

#[pymethods]
impl PyEvent {
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.data)
    }

    #[getter]
    fn content_type<'py>(&self, py: Python<'py>) -> &Bound<'py, PyString> {
        // The one header, instead of a copy of all.
        let name = openagentmesh::protocol::header::CONTENT_TYPE;
        let header = self.0.header(name).map(|value| (name, value));
        match ContentType::read(&header.into_iter().collect::<Headers>()) {
            ContentType::Text => intern!(py, "text"),
            ContentType::Bytes => intern!(py, "bytes"),
            _ => intern!(py, "json"),
        }
    }

    #[getter]
    fn subject(&self) -> &str {
        self.0.subject()
    }

    #[getter]
    fn agent(&self) -> Option<String> {
        self.0.agent().map(|agent| agent.to_string())
    }

    #[getter]
    fn reply_to(&self) -> Option<&str> {
        self.0.reply_to()
    }

    #[getter]
    fn headers(&self) -> BTreeMap<String, String> {
        let headers = self.0.headers();
        let headers = headers.iter();
        headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

impl BatchItem for Result<Event<Bytes>, Error> {
    fn into_object<'py>(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Ok(event) => Ok(Bound::new(py, PyEvent(event))?.into_any()),
            Err(error) => Ok(errors::exception(py, &error)
                .into_value(py)
                .into_bound(py)
                .into_any()),
        }
    }

    fn is_raised(&self) -> bool {
        false
    }
}
