//! Start time and memory of processes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_nats::RequestErrorKind;
use openagentmesh::protocol::subject;
use openagentmesh_local::LocalServer;
use sysinfo::{Pid, ProcessesToUpdate, System};

use super::measured::{JOB_TIMEOUT, Measured, Size};
use super::runner::Runner;
use crate::cases::Command;
use crate::error::Result;
use crate::measure::Contender;
use crate::programs::{self, Program};

/// Delay between the readiness of a host and the reading of its memory.
const IDLE_TIME: Duration = Duration::from_secs(1);
/// Delay between two calls to a host that is not ready yet.
const RETRY_INTERVAL: Duration = Duration::from_micros(250);

impl Runner {
    /// The time from the start of a process until a call to its agent is answered, on a mesh that has been
    /// in use.
    pub(super) async fn start_host(
        &mut self,
        contender: Contender,
        round: u32,
    ) -> Result<Measured> {
        let program = self.host_program(contender).await?;
        let url = self.server.url();
        let caller = async_nats::connect(url).await?;
        // A new name each time: the catalog identifies agents by name.
        let prefix = format!("start-{contender:?}-{round}");
        let agent = format!("{prefix}.agent-0");
        let subject = match contender {
            Contender::Raw => agent,
            _ => subject::agent(&agent.parse()?),
        };
        let started = Instant::now();
        let mut host = self.host(contender, &program, url, &prefix, 1)?;
        loop {
            match caller.request(subject.clone(), "{}".into()).await {
                Ok(_) => break,
                Err(error) if error.kind() == RequestErrorKind::NoResponders => {}
                Err(error) => return Err(error.into()),
            }
            if started.elapsed() > JOB_TIMEOUT {
                return Err("the host did not answer in time".into());
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
        let seconds = started.elapsed().as_secs_f64();
        host.ready(JOB_TIMEOUT).await?;
        host.end(JOB_TIMEOUT).await?;
        Ok(Measured::new(1, [seconds * 1e3]))
    }

    /// The resident memory of a host that receives no calls.
    pub(super) async fn idle(&mut self, contender: Contender, agents: u32) -> Result<Measured> {
        let program = self.host_program(contender).await?;
        let server = LocalServer::start().await?;
        let mut host = self.host(contender, &program, server.url(), "idle", agents)?;
        host.ready(JOB_TIMEOUT).await?;
        tokio::time::sleep(match self.size {
            Size::Tiny => Duration::ZERO,
            Size::Quick | Size::Full => IDLE_TIME,
        })
        .await;
        let memory = memory(host.id()?);
        host.end(JOB_TIMEOUT).await?;
        server.stop().await?;
        Ok(Measured {
            count: agents,
            values: vec![memory.map(|bytes| bytes as f64 / f64::from(1 << 20))],
        })
    }

    /// The median duration of the command line, from its start to its end.
    pub(super) async fn command(
        &mut self,
        contender: Contender,
        command: Command,
    ) -> Result<Measured> {
        let program: PathBuf = match contender {
            Contender::PythonPackage | Contender::Python => {
                self.pythons.of(contender)?.with_file_name("oam")
            }
            _ => self.programs.path(Program::Oam, contender).await?,
        };
        let url = match command {
            Command::CatalogOf(agents) => {
                let agents = self.size.limit(agents, 12);
                self.populated(agents).await?.url().to_owned()
            }
            Command::Help | Command::Catalog => self.server.url().to_owned(),
        };
        let arguments = match command {
            Command::Help => vec!["--help"],
            Command::Catalog | Command::CatalogOf(_) => vec!["mesh", "catalog", "--url", &url],
        };
        let times = match (contender, self.size) {
            (_, Size::Tiny) => 1,
            (contender, _) if contender.is_for_python() => 3,
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
pub(super) fn memory(process: u32) -> Option<u64> {
    let process = Pid::from_u32(process);
    let mut known = System::new().ok()?;
    known.refresh_processes(ProcessesToUpdate::Some(&[process]), true);
    Some(known.process(process)?.memory())
}
