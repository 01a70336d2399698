//! The Python SDK and the Python package of this repository.

use std::path::{Path, PathBuf};

use openagentmesh_local::LocalServer;

use super::measured::unsupported;
use super::pair::Pair;
use crate::error::Result;
use crate::measure::Contender;
use crate::programs;
use crate::roles::{Peer, Role};

/// The interpreters of the contenders for Python.
#[derive(Debug, Default)]
pub(super) struct Pythons {
    sdk: Option<PathBuf>,
    package: Option<PathBuf>,
}

impl Pythons {
    /// Installs the Python SDK and the Python package, unless they are installed.
    pub(super) async fn prepare() -> Result<Self> {
        Ok(Self {
            sdk: Some(Peer::python_interpreter().await?),
            package: Some(programs::python_package().await?),
        })
    }

    /// The interpreter of `contender`.
    pub(super) fn of(&self, contender: Contender) -> Result<&Path> {
        let interpreter = match contender {
            Contender::PythonPackage => &self.package,
            Contender::Python => &self.sdk,
            _ => &None,
        };
        interpreter.as_deref().ok_or_else(|| unsupported(contender))
    }
}

/// A host and a caller in Python, on a mesh of their own.
pub(super) struct PythonPair {
    server: LocalServer,
    pub(super) pair: Pair,
    /// Calls the host from Rust.
    rust_caller: Option<Peer>,
}

impl PythonPair {
    pub(super) async fn start(interpreter: &Path) -> Result<Self> {
        let server = LocalServer::start().await?;
        let start = |role| Peer::python(interpreter, role, server.url());
        Ok(Self {
            pair: Pair::start(start).await?,
            server,
            rust_caller: None,
        })
    }

    /// The caller in Rust, the bench `program`.
    pub(super) async fn rust_caller(&mut self, program: &Path) -> Result<&mut Peer> {
        if self.rust_caller.is_none() {
            let mut caller = Peer::rust(program, Role::Caller, self.server.url())?;
            caller.ready(Pair::TASK_TIMEOUT).await?;
            self.rust_caller = Some(caller);
        }
        let caller = self.rust_caller.as_mut();
        caller.ok_or_else(|| "no caller was started".into())
    }

    pub(super) async fn end(self) -> Result<()> {
        if let Some(caller) = self.rust_caller {
            caller.end(Pair::TASK_TIMEOUT).await?;
        }
        self.pair.end().await?;
        Ok(self.server.stop().await?)
    }
}
