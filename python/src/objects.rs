//! JSON as Python objects.

use openagentmesh::serde_json::value::RawValue;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors;

/// JSON as Python's `bytes`.
pub(crate) fn raw_bytes<'py>(py: Python<'py>, json: &RawValue) -> Bound<'py, PyAny> {
    PyBytes::new(py, json.get().as_bytes()).into_any()
}

/// A value as JSON in Python's `bytes`.
pub(crate) fn to_json<'py>(
    py: Python<'py>,
    value: &impl serde::Serialize,
) -> PyResult<Bound<'py, PyAny>> {
    let json = openagentmesh::serde_json::to_vec(value).map_err(|error| {
        errors::exception(py, &errors::invalid(format!("invalid JSON: {error}")))
    })?;
    Ok(PyBytes::new(py, &json).into_any())
}
