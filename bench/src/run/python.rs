//! Measurements of the Python SDK and of the Python package of this repository.

use super::measured::{Measured, Size};
use super::pair::Pair;
use super::pythons::PythonPair;
use super::runner::Runner;
use super::tasks::values;
use crate::cases::{Case, Work};
use crate::error::Result;
use crate::measure::{Contender, Measure, Outcome, Task};
use crate::programs;

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

impl Runner {
    pub(super) async fn python_pair(&mut self, contender: Contender) -> Result<&mut PythonPair> {
        if !self.python_pairs.contains_key(&contender) {
            let pair = PythonPair::start(self.pythons.of(contender)?).await?;
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
        let caller = pair.rust_caller(&program).await?;
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
