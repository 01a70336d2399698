//! The Rust half of the Python package: the extension module `openagentmesh._core`.
//!
//! `openagentmesh/_core.pyi` documents the functions and classes. `bridge` hands work over to event loops, `runtime`
//! has the runtime, and each of the other files has one part of the mesh.
#![deny(unsafe_code)]
#![deny(missing_docs)]

mod agents;
mod arguments;
mod bridge;
mod callback;
mod chunks;
mod cli;
mod client;
mod errors;
mod events;
mod exit;
mod kv;
mod mesh;
mod objects;
mod output;
mod request;
mod runtime;
mod sync;
mod tools;
mod workspace;

use pyo3::prelude::*;

/// The extension module.
#[pymodule(name = "_core", gil_used = true)]
mod core_module {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::agents::{PyAgent, check_name};
    #[pymodule_export]
    use crate::bridge::bridge_stats;
    #[pymodule_export]
    use crate::bridge::operation::abort_operation;
    #[pymodule_export]
    use crate::chunks::PyChunks;
    #[pymodule_export]
    use crate::cli::run_cli;
    #[pymodule_export]
    use crate::client::PyClient;
    #[pymodule_export]
    use crate::errors::{retryable, set_error_factory};
    #[pymodule_export]
    use crate::events::{PyEvent, PyEvents};
    #[pymodule_export]
    use crate::kv::{PyKv, PyKvChanges};
    #[pymodule_export]
    use crate::mesh::{PyMesh, connect, end_process};
    #[pymodule_export]
    use crate::request::PyRequest;
    #[pymodule_export]
    use crate::tools::{agent_card, tool_definition, tool_names, tool_payload};
    #[pymodule_export]
    use crate::workspace::PyWorkspace;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("DEFAULT_URL", openagentmesh::DEFAULT_URL)?;
        let exit = module.getattr("end_process")?;
        module
            .py()
            .import("atexit")?
            .call_method1("register", (exit,))?;
        Ok(())
    }
}
