//! The chunks of a streamed reply.

use openagentmesh::serde_json::value::RawValue;
use openagentmesh::{Chunks, Error};
use pyo3::prelude::*;

use crate::bridge::batch::{BatchItem, Batches};
use crate::errors;
use crate::objects::raw_bytes;

/// A streamed reply.
#[pyclass(name = "Chunks", module = "openagentmesh._core", frozen)]
pub(crate) struct PyChunks(Batches<Chunks<Box<RawValue>>>);

impl PyChunks {
    pub(crate) fn new(chunks: Chunks<Box<RawValue>>) -> Self {
        Self(Batches::new(chunks))
    }
}

#[pymethods]
impl PyChunks {
    #[pyo3(signature = (max = 256))]
    fn next_batch<'py>(&self, py: Python<'py>, max: usize) -> PyResult<Bound<'py, PyAny>> {
        self.0.next(py, max)
    }

    fn close(&self) {
        self.0.close();
    }
}

impl BatchItem for Result<Box<RawValue>, Error> {
    fn into_object<'py>(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Ok(chunk) => Ok(raw_bytes(py, &chunk)),
            Err(error) => Err(errors::exception(py, &error)),
        }
    }

    fn is_raised(&self) -> bool {
        self.is_err()
    }
}
