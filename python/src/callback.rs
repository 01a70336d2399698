//! Callbacks of the program, run by the event loop.

use pyo3::call::PyCallArgs;
use pyo3::prelude::*;

/// Calls `callback`. An exception goes to `sys.unraisablehook`: no caller could catch it.
pub(crate) fn run<'py, A>(py: Python<'py>, callback: &Py<PyAny>, arguments: A)
where
    A: PyCallArgs<'py>,
{
    let callback = callback.bind(py);
    if let Err(error) = callback.call1(arguments) {
        error.write_unraisable(py, Some(callback));
    }
}
