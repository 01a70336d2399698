//! The command line `oam`.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the command line with `arguments`, of which the first is the program's name. Returns the exit code.
#[pyfunction]
pub(crate) fn run_cli(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| oam_cli::main(arguments))
}
