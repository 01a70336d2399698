//! The Python SDK and the Python package of this repository.

use std::path::{Path, PathBuf};

use openagentmesh_local::LocalServer;

use super::measured::{Measured, Size};
use super::pair::Pair;
use super::runner::{Runner, unsupported};
use super::tasks::values;
use crate::cases::{Case, Work};
use crate::error::Result;
use crate::measure::{Contender, Measure, Outcome, Task};
use crate::programs;
use crate::roles::{Peer, Role};

/// Prints the seconds from before the import until the mesh is connected.
const IMPORT_AND_CONNECT: &str = "\
import time
started = time.perf_counter()
import asyncio, sys
from openagentmesh import AgentMesh

async def main():
    async with AgentMesh(sys.argv[1]):
        print(time.perf_counter() - started)

asyncio.run(main())
";

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
    pub(super) async fn end(self) -> Result<()> {
        if let Some(caller) = self.rust_caller {
            caller.end(Pair::TASK_TIMEOUT).await?;
        }
        self.pair.end().await?;
        Ok(self.server.stop().await?)
    }
}

impl Runner {
    pub(super) async fn python_pair(&mut self, contender: Contender) -> Result<&mut PythonPair> {
        if !self.python_pairs.contains_key(&contender) {
            let interpreter = self.pythons.of(contender)?;
            let server = LocalServer::start().await?;
            let start = |role| Peer::python(interpreter, role, server.url());
            let pair = Pair::start(start).await?;
            let pair = PythonPair {
                server,
                pair,
                rust_caller: None,
            };
            self.python_pairs.insert(contender, pair);
        }
        let pair = self.python_pairs.get_mut(&contender);
        pair.ok_or_else(|| "no pair was started".into())
    }

    /// The rate of calls from Rust to the host of `contender`.
    pub(super) async fn calls_from_rust(
        &mut self,
        case: &Case,
        contender: Contender,
        round: u32,
    ) -> Result<Measured> {
        let Work::CallsFromRust {
            messages,
            python_messages,
            in_flight,
        } = case.work
        else {
            return Err(format!("'{}' has no calls from Rust", case.name).into());
        };
        let messages = match contender {
            Contender::Python => python_messages,
            _ => messages,
        };
        let task = Task {
            contender,
            measure: Measure::Throughput,
            messages: self.messages(messages, round),
            in_flight,
        };
        let program = self.programs.bench(Contender::Ours)?;
        let pair = self.python_pair(contender).await?;
        if pair.rust_caller.is_none() {
            let mut caller = Peer::rust(&program, Role::Caller, pair.server.url())?;
            caller.ready(Pair::TASK_TIMEOUT).await?;
            pair.rust_caller = Some(caller);
        }
        let caller = pair.rust_caller.as_mut().ok_or("no caller was started")?;
        let outcome: Outcome = caller.ask(&task, Pair::TASK_TIMEOUT).await?;
        Ok(Measured::new(task.messages, values(task.measure, outcome)))
    }

    /// The median time of new processes.
    pub(super) async fn import_and_connect(&self, contender: Contender) -> Result<Measured> {
        let interpreter = self.pythons.of(contender)?;
        let times = match self.size {
            Size::Tiny => 1,
            Size::Quick | Size::Full => 5,
        };
        let mut milliseconds = Vec::new();
        for _ in 0..times {
            let arguments = ["-c", IMPORT_AND_CONNECT, self.server.url()];
            let printed = programs::output(interpreter, &arguments).await?;
            let seconds: f64 = String::from_utf8(printed)?.trim().parse()?;
            milliseconds.push(seconds * 1e3);
        }
        milliseconds.sort_by(f64::total_cmp);
        Ok(Measured::new(times, [milliseconds[times as usize / 2]]))
    }
}
