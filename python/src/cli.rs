//! The command line `oam`.

use std::ffi::OsString;
use std::io::Write;

use pyo3::prelude::*;

/// Runs the command line with `arguments`, of which the first is the program's name. Returns the exit code.
#[pyfunction]
pub(crate) fn run_cli(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| {
        let code = oam_cli::main(arguments);
        // A process that Python ends does not flush the standard streams of Rust. A failure was reported already.
        let _ = std::io::stdout().flush();
        code
    })
}
