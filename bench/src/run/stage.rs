//! What cases are measured on: servers, the processes that stay, those that come for one case.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use openagentmesh_local::LocalServer;

use super::crowd::Crowd;
use super::tasks::Pair;
use super::{Measured, Size};
use crate::Result;
use crate::cases::{Case, Work};
use crate::measure::Contender;
use crate::programs::{self, Program};
use crate::roles::{Peer, Role};

/// How long one job may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(600);

/// What is needed first is made first, and stays until the end.
pub(crate) struct Stage {
    pub(super) size: Size,
    /// The mesh of those who call each other.
    pub(super) server: LocalServer,
    /// An interpreter that has the Python SDK, if it takes part.
    pub(super) python: Option<PathBuf>,
    /// What serves agents and does nothing else.
    host_program: PathBuf,
    pub(super) rust_pair: Option<Pair>,
    pub(super) python_pair: Option<Pair>,
    /// By the number of their agents.
    pub(super) crowds: BTreeMap<u32, Crowd>,
}

impl Stage {
    pub(super) async fn set(size: Size, with_python: bool) -> Result<Self> {
        let python = if with_python {
            Some(Peer::python_interpreter().await?)
        } else {
            None
        };
        Ok(Self {
            size,
            server: LocalServer::start().await?,
            python,
            host_program: programs::built(Program::Host).await?,
            rust_pair: None,
            python_pair: None,
            crowds: BTreeMap::new(),
        })
    }

    pub(super) async fn clear(self) -> Result<()> {
        for pair in [self.rust_pair, self.python_pair].into_iter().flatten() {
            pair.end().await?;
        }
        for crowd in self.crowds.into_values() {
            crowd.part().await?;
        }
        Ok(self.server.stop().await?)
    }

    pub(super) async fn measure(
        &mut self,
        case: &Case,
        contender: Contender,
        round: u32,
    ) -> Result<Measured> {
        let size = self.size;
        match case.work {
            Work::Task { .. } => self.task(case, contender, round).await,
            Work::Register { agents } => self.register(contender, size.limit(agents, 6)).await,
            Work::RegisterTogether { agents, processes } => {
                let (agents, processes) = (size.limit(agents, 6), size.limit(processes, 3));
                self.register_together(contender, agents, processes).await
            }
            Work::RegisterOneMore { crowd } => {
                self.register_one_more(contender, size.limit(crowd, 12), round)
                    .await
            }
            Work::Connect { crowd } => self.connect(contender, size.limit(crowd, 12)).await,
            Work::Catalog { crowd } => self.catalog(contender, size.limit(crowd, 12)).await,
            Work::CatalogAllocations { crowd } => {
                self.catalog_allocations(size.limit(crowd, 12)).await
            }
            Work::Start => self.start(contender, round).await,
            Work::Idle { agents } => self.idle(contender, size.limit(agents, 6)).await,
            Work::Content { mebibytes } => self.content(contender, size.limit(mebibytes, 1)).await,
            Work::File { mebibytes } => self.file(contender, size.limit(mebibytes, 2)).await,
            Work::Command(command) => self.command(contender, command).await,
            Work::Build => self.build(contender).await,
            Work::Size => self.size().await,
        }
    }

    /// A process that does jobs on the mesh at `url`.
    pub(super) async fn worker(&self, contender: Contender, url: &str) -> Result<Peer> {
        let mut worker = match (contender, &self.python) {
            (Contender::Ours, _) => Peer::rust(Role::Worker, url)?,
            (Contender::Raw, _) => Peer::rust(Role::RawWorker, url)?,
            (Contender::Python, Some(python)) => Peer::python(python, Role::Worker, url)?,
            _ => return Err(does_not(contender)),
        };
        worker.ready(DEADLINE).await?;
        Ok(worker)
    }

    /// A process that serves so many agents and does nothing else. It is not ready yet.
    pub(super) fn host(
        &self,
        contender: Contender,
        url: &str,
        prefix: &str,
        agents: u32,
    ) -> Result<Peer> {
        let who = match (contender, &self.python) {
            (Contender::Ours, _) => "ours",
            (Contender::Raw, _) => "raw",
            (Contender::Python, Some(python)) => {
                return Peer::python_host(python, url, prefix, agents);
            }
            _ => return Err(does_not(contender)),
        };
        Peer::host(&self.host_program, who, url, prefix, agents)
    }
}

fn does_not(contender: Contender) -> crate::Error {
    format!("{} does not do this", contender.title()).into()
}
