//! The servers and processes of a run.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use openagentmesh_local::LocalServer;

use super::measured::{JOB_TIMEOUT, Measured, Size, unsupported};
use super::pair::Pair;
use super::populated::PopulatedMesh;
use super::pythons::{PythonPair, Pythons};
use crate::cases::{Case, Work};
use crate::error::Result;
use crate::measure::Contender;
use crate::programs::{Program, Programs};
use crate::roles::{Peer, Role};

/// Runs cases. Servers and processes are started when a case first needs them, and run until the end.
pub(super) struct Runner {
    pub(super) size: Size,
    /// The mesh of the hosts and callers.
    pub(super) server: LocalServer,
    /// The interpreters with the Python SDK and the Python package, if these take part.
    pub(super) pythons: Pythons,
    pub(super) programs: Programs,
    rust_pair: Option<Pair>,
    /// The pairs of the Python SDK and the Python package, each on a mesh of its own: their agents have the same names.
    pub(super) python_pairs: BTreeMap<Contender, PythonPair>,
    /// The pair of the other build, on a mesh of its own: its agents have the names of this build's.
    other_pair: Option<(LocalServer, Pair)>,
    /// Meshes by their number of agents.
    populated: BTreeMap<u32, PopulatedMesh>,
}

impl Runner {
    pub(super) async fn start(size: Size, with_python: bool, other: Option<&Path>) -> Result<Self> {
        let programs = Programs::new(other)?;
        let pythons = match with_python {
            true => Pythons::prepare().await?,
            false => Pythons::default(),
        };
        Ok(Self {
            size,
            server: LocalServer::start().await?,
            pythons,
            programs,
            rust_pair: None,
            python_pairs: BTreeMap::new(),
            other_pair: None,
            populated: BTreeMap::new(),
        })
    }

    pub(super) fn nats_version(&self) -> String {
        self.server.binary().version().to_string()
    }

    pub(super) async fn stop(self) -> Result<()> {
        if let Some(pair) = self.rust_pair {
            pair.end().await?;
        }
        for pair in self.python_pairs.into_values() {
            pair.end().await?;
        }
        if let Some((server, pair)) = self.other_pair {
            pair.end().await?;
            server.stop().await?;
        }
        for mesh in self.populated.into_values() {
            mesh.stop().await?;
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
            Work::RegisterOneMore { agents } => {
                self.register_one_more(contender, size.limit(agents, 12), round)
                    .await
            }
            Work::FollowOneMore { agents } => {
                self.follow_one_more(contender, size.limit(agents, 12), round)
                    .await
            }
            Work::FollowMany {
                followers,
                registrations,
            } => {
                let (followers, registrations) =
                    (size.limit(followers, 12), size.limit(registrations, 6));
                self.follow_many(contender, followers, registrations).await
            }
            Work::Attacked { calls, rates } => self.attacked(contender, calls, rates).await,
            Work::StalledReader { megabytes } => {
                self.stalled_reader(contender, size.limit(megabytes, 1))
                    .await
            }
            Work::Connect { agents } => self.connect(contender, size.limit(agents, 12)).await,
            Work::Catalog { agents } => self.catalog(contender, size.limit(agents, 12)).await,
            Work::CatalogAllocations { agents } => {
                self.catalog_allocations(contender, size.limit(agents, 12))
                    .await
            }
            Work::Start => self.start_host(contender, round).await,
            Work::Idle { agents } => self.idle(contender, size.limit(agents, 6)).await,
            Work::Content { mebibytes } => self.content(contender, size.limit(mebibytes, 1)).await,
            Work::File { mebibytes } => self.file(contender, size.limit(mebibytes, 2)).await,
            Work::Command(command) => self.command(contender, command).await,
            Work::Build => self.build(contender).await,
            Work::Size => self.size(contender).await,
            Work::ImportAndConnect => self.import_and_connect(contender).await,
            Work::CallsFromRust { .. } => self.calls_from_rust(case, contender, round).await,
        }
    }

    /// The host and the caller of a contender.
    pub(super) async fn pair(&mut self, contender: Contender) -> Result<&mut Pair> {
        let program = self.programs.bench(contender)?;
        let pair = match contender {
            Contender::PythonPackage | Contender::Python => {
                Some(&mut self.python_pair(contender).await?.pair)
            }
            Contender::Other => {
                if self.other_pair.is_none() {
                    let server = LocalServer::start().await?;
                    let start = |role| Peer::rust(&program, role, server.url());
                    let pair = Pair::start(start).await?;
                    self.other_pair = Some((server, pair));
                }
                self.other_pair.as_mut().map(|(_, pair)| pair)
            }
            _ => {
                let url = self.server.url();
                if self.rust_pair.is_none() {
                    let start = |role| Peer::rust(&program, role, url);
                    self.rust_pair = Some(Pair::start(start).await?);
                }
                self.rust_pair.as_mut()
            }
        };
        pair.ok_or_else(|| "no pair was started".into())
    }

    /// The URL of the mesh of a pair in Rust.
    pub(super) async fn url_of_pair(&mut self, contender: Contender) -> Result<String> {
        self.pair(contender).await?;
        let server = match (contender, &self.other_pair) {
            (Contender::Other, Some((server, _))) => server,
            _ => &self.server,
        };
        Ok(server.url().to_owned())
    }

    /// A ready worker on the mesh at `url`.
    pub(super) async fn worker(&self, contender: Contender, url: &str) -> Result<Peer> {
        let rust = |role| Peer::rust(&self.programs.bench(contender)?, role, url);
        let mut worker = match contender {
            Contender::Ours | Contender::Other => rust(Role::Worker)?,
            Contender::Raw => rust(Role::RawWorker)?,
            Contender::PythonPackage | Contender::Python => {
                Peer::python(self.pythons.of(contender)?, Role::Worker, url)?
            }
            _ => return Err(unsupported(contender)),
        };
        worker.ready(JOB_TIMEOUT).await?;
        Ok(worker)
    }

    /// A host that serves `agents` agents; not ready yet.
    pub(super) fn host(
        &self,
        contender: Contender,
        program: &Path,
        url: &str,
        prefix: &str,
        agents: u32,
    ) -> Result<Peer> {
        let implementation = match contender {
            Contender::Ours | Contender::Other => "ours",
            Contender::Raw => "raw",
            Contender::PythonPackage | Contender::Python => {
                return Peer::python_host(self.pythons.of(contender)?, url, prefix, agents);
            }
            _ => return Err(unsupported(contender)),
        };
        Peer::host(program, implementation, url, prefix, agents)
    }

    /// The server of a mesh with `agents` agents.
    pub(super) async fn populated(&mut self, agents: u32) -> Result<&LocalServer> {
        let mesh = match self.populated.entry(agents) {
            Entry::Occupied(occupied) => occupied.into_mut(),
            Entry::Vacant(vacant) => {
                let program = self.programs.bench(Contender::Ours)?;
                vacant.insert(PopulatedMesh::start(&program, agents).await?)
            }
        };
        Ok(&mesh.server)
    }

    /// The program of a host.
    pub(super) async fn host_program(&mut self, contender: Contender) -> Result<PathBuf> {
        self.programs.path(Program::Host, contender).await
    }
}
