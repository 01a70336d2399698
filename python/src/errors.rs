//! Errors of the mesh as Python exceptions, made by one function of the Python side.

use std::sync::Mutex;

use openagentmesh::{Error, ErrorCode};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::sync::lock;

/// The function that makes each exception.
static FACTORY: Mutex<Option<Py<PyAny>>> = Mutex::new(None);

/// Sets the function that makes every error of the mesh from the code, the message, the agent, the request id and the
/// details as a JSON object.
#[pyfunction]
pub(crate) fn set_error_factory(factory: Py<PyAny>) {
    let previous = lock(&FACTORY).replace(factory);
    // Dropped without the lock: the drop may run Python code.
    drop(previous);
}

/// The exception of `error`.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    let factory = lock(&FACTORY).as_ref().map(|factory| factory.clone_ref(py));
    let Some(factory) = factory else {
        return PyRuntimeError::new_err(format!("{}: {}", error.code(), error.message()));
    };
    let details = serde_json::to_vec(error.details()).unwrap_or_else(|_| b"{}".to_vec());
    let made = factory.bind(py).call1((
        error.code().as_str(),
        error.message(),
        error.agent(),
        error.request_id(),
        PyBytes::new(py, &details),
    ));
    match made {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    }
}

/// An error that the package raises itself.
pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidInput, message)
}

/// The code of a defect of this package.
const INTERNAL_ERROR: &str = "internal_error";

/// The error of an operation that panicked.
pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a text");
    Error::new(
        INTERNAL_ERROR,
        format!("the operation failed by a defect of the package: {text}"),
    )
}

/// Whether the same request may succeed when it is sent again after an error with `code`.
#[pyfunction]
pub(crate) fn retryable(code: &str) -> bool {
    ErrorCode::from(code).is_retryable()
}
