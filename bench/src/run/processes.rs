//! How soon a process is there, and what it takes up.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_nats::RequestErrorKind;
use openagentmesh::protocol::subject;
use openagentmesh_local::LocalServer;
use sysinfo::{Pid, ProcessesToUpdate, System};

use super::stage::DEADLINE;
use super::{Measured, Size, Stage};
use crate::Result;
use crate::cases::Command;
use crate::measure::Contender;
use crate::programs::{self, Program};

/// How long a host is left alone before its memory is read.
const REST: Duration = Duration::from_secs(1);
/// How long to wait until it is tried again to call somebody who is not there yet.
const PAUSE: Duration = Duration::from_micros(250);

impl Stage {
    /// From the start of a process until a call to its agent is answered. The mesh has been used before.
    pub(super) async fn start(&self, contender: Contender, round: u32) -> Result<Measured> {
        let url = self.server.url();
        let caller = async_nats::connect(url).await?;
        // Somebody else every time, because the catalog knows agents by their names.
        let prefix = format!("start-{contender:?}-{round}");
        let agent = format!("{prefix}.agent-0");
        let subject = match contender {
            Contender::Raw => agent,
            _ => subject::agent(&agent.parse()?),
        };
        let started = Instant::now();
        let mut host = self.host(contender, url, &prefix, 1)?;
        loop {
            match caller.request(subject.clone(), "{}".into()).await {
                Ok(_) => break,
                Err(error) if error.kind() == RequestErrorKind::NoResponders => {}
                Err(error) => return Err(error.into()),
            }
            if started.elapsed() > DEADLINE {
                return Err("nobody can be called".into());
            }
            tokio::time::sleep(PAUSE).await;
        }
        let seconds = started.elapsed().as_secs_f64();
        host.ready(DEADLINE).await?;
        host.end(DEADLINE).await?;
        Ok(Measured::new(1, [seconds * 1e3]))
    }

    /// What a host has in memory that nobody calls.
    pub(super) async fn idle(&self, contender: Contender, agents: u32) -> Result<Measured> {
        let server = LocalServer::start().await?;
        let mut host = self.host(contender, server.url(), "idle", agents)?;
        host.ready(DEADLINE).await?;
        tokio::time::sleep(match self.size {
            Size::Tiny => Duration::ZERO,
            Size::Quick | Size::Full => REST,
        })
        .await;
        let memory = memory(host.id()?);
        host.end(DEADLINE).await?;
        server.stop().await?;
        Ok(Measured {
            count: agents,
            values: vec![memory.map(|bytes| bytes as f64 / f64::from(1 << 20))],
        })
    }

    /// From the start of the command line until it has ended, in the median of a few times.
    pub(super) async fn command(&self, contender: Contender, command: Command) -> Result<Measured> {
        let program: PathBuf = match (contender, &self.python) {
            (Contender::Python, Some(interpreter)) => interpreter.with_file_name("oam"),
            _ => programs::built(Program::Oam).await?,
        };
        let arguments = match command {
            Command::Help => vec!["--help"],
            Command::Catalog => vec!["mesh", "catalog", "--url", self.server.url()],
        };
        let times = match (contender, self.size) {
            (_, Size::Tiny) => 1,
            (Contender::Python, _) => 3,
            _ => 11,
        };
        let mut milliseconds = Vec::new();
        for _ in 0..times {
            let started = Instant::now();
            programs::output(&program, &arguments).await?;
            milliseconds.push(started.elapsed().as_secs_f64() * 1e3);
        }
        milliseconds.sort_by(f64::total_cmp);
        Ok(Measured::new(times, [milliseconds[times as usize / 2]]))
    }
}

/// The resident memory of a process, in bytes.
fn memory(process: u32) -> Option<u64> {
    let process = Pid::from_u32(process);
    let mut known = System::new().ok()?;
    known.refresh_processes(ProcessesToUpdate::Some(&[process]), true);
    Some(known.process(process)?.memory())
}
