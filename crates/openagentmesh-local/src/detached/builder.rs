//! Settings of detached servers: start, list, search.

use std::path::{Path, PathBuf};

use super::loopback::{DEFAULT_PORT, loopback_port};
use super::mesh::RunningMesh;
use super::running::{running, running_in_foreground};
use super::server::{DetachedServer, Node};
use crate::background::Cancellation;
use crate::binary::NatsServer;
use crate::cluster::{NodesStart, WatchedNode, launch_nodes, node_ports, wait_ready};
use crate::config::{Config, DEFAULT_MAX_PAYLOAD};
use crate::data::{DataDirectory, KeptData};
use crate::directory::{OwnedDirectory, create_private};
use crate::home::Home;
use crate::launch::launch;
use crate::process::{Lifetime, OwnedChild};
use crate::record::{self, ClusterRecord, Record};
use crate::server::choose_binary;
use crate::websocket::Origins;
use crate::{LocalError, background};

/// Settings for a [`DetachedServer`].
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
/// use openagentmesh_local::DetachedServer;
///
/// let mesh = DetachedServer::builder().port(0).started_in("/work/project").start().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "settings do nothing until `start` is called"]
pub struct DetachedServerBuilder {
    port: u16,
    nodes: Option<usize>,
    websocket_origins: Vec<String>,
    max_payload: u32,
    data: Option<PathBuf>,
    accounts: Option<String>,
    started_in: Option<PathBuf>,
    home: Option<PathBuf>,
    binary: Option<PathBuf>,
}

impl Default for DetachedServerBuilder {
    fn default() -> Self {
        Self {
            port: DEFAULT_PORT,
            nodes: None,
            websocket_origins: Vec::new(),
            max_payload: DEFAULT_MAX_PAYLOAD,
            data: None,
            accounts: None,
            started_in: None,
            home: None,
            binary: None,
        }
    }
}

impl DetachedServerBuilder {
    /// The TCP port for clients, by default 4222. 0 lets the server choose.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Starts a JetStream cluster of `nodes` servers, 3 to 9, instead of one server. The first node has the
    /// [`port`](Self::port), the others have the ports after it. A cluster has no WebSocket port.
    pub fn cluster(mut self, nodes: usize) -> Self {
        self.nodes = Some(nodes);
        self
    }

    /// Opens a WebSocket port for web pages of `origin`, such as `http://localhost:3000`: the port after
    /// that for clients, or one that the server chooses. May be repeated. Without it, the server has no
    /// WebSocket port.
    ///
    /// A page of any other origin is refused with status 403. A client without the header `Origin` is
    /// accepted: browsers always send it, and other programs could send any.
    pub fn websocket_origin(mut self, origin: impl Into<String>) -> Self {
        self.websocket_origins.push(origin.into());
        self
    }

    /// Maximum size of a message including headers, in bytes. The default is 8 MiB; `nats-server`
    /// allows at most 64 MiB.
    pub fn max_payload(mut self, bytes: u32) -> Self {
        self.max_payload = bytes;
        self
    }

    /// Keeps the JetStream data in this directory, which is made if it does not exist, after the server is stopped. One
    /// server at a time uses it, also after a crash: the lock ends with the server. A directory with other files is
    /// refused.
    pub fn data_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.data = Some(path.into());
        self
    }

    /// The accounts of the server with their users, in the syntax of its configuration, in place of one account that everyone
    /// may use without a login. The text has the system account, too. [`RunningMesh::set_accounts`] replaces it while the
    /// server runs.
    pub fn accounts(mut self, configuration: impl Into<String>) -> Self {
        self.accounts = Some(configuration.into());
        self
    }

    /// The directory to record as [`DetachedServer::started_in`], instead of the working directory of
    /// this process.
    pub fn started_in(mut self, path: impl Into<PathBuf>) -> Self {
        self.started_in = Some(path.into());
        self
    }

    /// The directory that holds `.agentmesh`, instead of the user's home directory.
    pub fn home_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.home = Some(path.into());
        self
    }

    /// The `nats-server` program to run, without search or installation.
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.binary = Some(path.into());
        self
    }

    /// Starts the server and returns once it answers. Of several concurrent starts on one port exactly
    /// one succeeds. Requires a tokio runtime with I/O and time enabled.
    ///
    /// # Errors
    ///
    /// * [`LocalError::NoHome`]: the home directory is unknown.
    /// * [`LocalError::NamedServerUnusable`], [`LocalError::ServerUnusable`],
    ///   [`LocalError::NotInstalled`]: no usable program.
    /// * [`LocalError::PortTakenByMesh`]: another [`DetachedServer`] uses the port, or that for
    ///   WebSocket clients; the error contains the directory in which that server was started.
    /// * [`LocalError::InvalidOrigin`]: an origin is invalid.
    /// * [`LocalError::InvalidPort`], [`LocalError::PortTaken`],
    ///   [`LocalError::WebSocketPortTaken`]: the port is invalid or in use.
    /// * [`LocalError::InvalidCluster`], [`LocalError::InvalidClusterPort`],
    ///   [`LocalError::ClusterNotReady`]: a cluster cannot be started so, or its nodes do not find each other.
    /// * [`LocalError::DataInUse`], [`LocalError::DataUnusable`], [`LocalError::DataOfOtherNodes`]: the data directory
    ///   cannot be used.
    /// * [`LocalError::Exited`], [`LocalError::NotReady`]: the server failed to start; the error
    ///   contains the end of its log.
    /// * [`LocalError::Locked`]: another process starts or stops a server for more than 30 s.
    /// * [`LocalError::PathNotText`], [`LocalError::Io`]: the directory cannot be used.
    /// * [`LocalError::Interrupted`]: the runtime is stopping.
    ///
    /// After an error neither process nor directory remains, except for data that was there before.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: dropping the future ends the server and removes its directory.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// # use openagentmesh_local::DetachedServer;
    /// let mesh = DetachedServer::builder().port(4300).start().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn start(self) -> Result<DetachedServer, LocalError> {
        let home = Home::new(self.home.as_deref())?;
        let origins = Origins::parse(&self.websocket_origins)?;
        let started_in = self.directory()?;
        let binary = choose_binary(self.binary, self.home).await?;
        let ports = match self.nodes {
            Some(nodes) => node_ports(self.port, nodes)?,
            None => vec![self.port],
        };
        let start = Start {
            ports,
            is_cluster: self.nodes.is_some(),
            origins,
            max_payload: self.max_payload,
            data: self.data,
            accounts: self.accounts,
            started_in,
            binary,
        };
        let (started, mut data, _lock) = background::run(move |cancellation| {
            let parent = home.detached_servers();
            create_private(&parent)?;
            // The lock is held until the record is written, so that other processes see complete
            // servers only, and a starting server's port counts as in use.
            let lock = record::lock(&parent, cancellation)?;
            let mut data = start.open_data(&parent)?;
            let started_in = start.started_in.clone();
            let started = if start.is_cluster {
                start.cluster(&parent, data.as_ref(), cancellation)?
            } else {
                vec![start.single(&parent, data.as_ref(), cancellation)?]
            };
            if let (Some(data), Some(first)) = (&mut data, started.first()) {
                data.record(&home, first.record.mesh_url(), Some(&started_in))?;
            }
            Ok((started, data, lock))
        })
        .await?;
        // No await follows, so a dropped future cannot interrupt the rest.
        if let Some(data) = &mut data {
            data.keep();
        }
        let mut server: Option<DetachedServer> = None;
        for Started {
            child,
            directory,
            record,
        } in started
        {
            child.detach()?;
            let node = Node {
                directory: directory.path().to_owned(),
                record,
            };
            directory.release();
            match &mut server {
                Some(server) => server.peers.push(node),
                None => server = Some(DetachedServer::new(node)),
            }
        }
        server.ok_or(LocalError::InvalidCluster { nodes: 0 })
    }

    /// The directory in which the server counts as started.
    fn directory(&self) -> Result<PathBuf, LocalError> {
        match &self.started_in {
            Some(path) => std::path::absolute(path).map_err(LocalError::io("resolve", path)),
            None => std::env::current_dir()
                .map_err(LocalError::io("find", Path::new("the working directory"))),
        }
    }

    /// [`DetachedServer::list`] in the home directory of these settings.
    ///
    /// # Errors
    ///
    /// Those of [`DetachedServer::list`].
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// # use openagentmesh_local::DetachedServer;
    /// let meshes = DetachedServer::builder().home_directory("/home/me").list().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn list(&self) -> Result<Vec<DetachedServer>, LocalError> {
        let parent = Home::new(self.home.as_deref())?.detached_servers();
        background::run(move |cancellation| {
            if !parent.is_dir() {
                return Ok(Vec::new());
            }
            let _lock = record::lock(&parent, cancellation)?;
            running(&parent, &[])
        })
        .await
    }

    /// [`KeptData::of_directory`](crate::KeptData::of_directory) in the home directory of these settings, for the
    /// directory of [`started_in`](Self::started_in).
    ///
    /// # Errors
    ///
    /// Those of [`KeptData::of_directory`](crate::KeptData::of_directory).
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// # use openagentmesh_local::DetachedServer;
    /// let settings = DetachedServer::builder().home_directory("/home/me");
    /// let kept = settings.started_in("/work/project").kept_data().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn kept_data(&self) -> Result<Vec<KeptData>, LocalError> {
        let home = Home::new(self.home.as_deref())?;
        let directory = self.directory()?;
        background::run(move |_| KeptData::find(&home, &directory)).await
    }

    /// [`RunningMesh::list`](crate::RunningMesh::list) in the home directory of these settings.
    ///
    /// # Errors
    ///
    /// Those of [`DetachedServer::list`].
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// # use openagentmesh_local::DetachedServer;
    /// let meshes = DetachedServer::builder().home_directory("/home/me").list_meshes().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn list_meshes(&self) -> Result<Vec<RunningMesh>, LocalError> {
        let detached = self.list().await?;
        let parent = Home::new(self.home.as_deref())?.owned_servers();
        let owned = background::run(move |_| running_in_foreground(&parent)).await?;
        Ok(RunningMesh::all(detached, owned))
    }

    /// [`DetachedServer::find_by_url`] in the home directory of these settings.
    ///
    /// # Errors
    ///
    /// Those of [`DetachedServer::list`].
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), openagentmesh_local::LocalError> {
    /// # use openagentmesh_local::DetachedServer;
    /// let settings = DetachedServer::builder().home_directory("/home/me");
    /// let mesh = settings.find_by_url("nats://localhost:4222").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn find_by_url(&self, url: &str) -> Result<Option<DetachedServer>, LocalError> {
        if !url.split(',').any(|url| loopback_port(url).is_some()) {
            return Ok(None);
        }
        let servers = self.list().await?;
        Ok(servers.into_iter().find(|server| server.has_url(url)))
    }
}

/// The settings of one start.
struct Start {
    ports: Vec<u16>,
    is_cluster: bool,
    origins: Origins,
    max_payload: u32,
    data: Option<PathBuf>,
    accounts: Option<String>,
    started_in: PathBuf,
    binary: NatsServer,
}

/// A started server that is not detached yet. Dropping it undoes the start; the fields are in drop
/// order.
struct Started {
    child: OwnedChild,
    directory: OwnedDirectory,
    record: Record,
}

impl Start {
    /// Locks the data directory. A file system may not support locks that a server inherits, so the servers are asked too.
    fn open_data(&self, parent: &Path) -> Result<Option<DataDirectory>, LocalError> {
        let Some(path) = &self.data else {
            return Ok(None);
        };
        // Also ends servers whose start was killed, and with them their locks.
        let servers = running(parent, &[])?;
        let data = DataDirectory::open(path, self.is_cluster.then_some(self.ports.len()))?;
        let holder = servers
            .iter()
            .find(|server| server.data_directory() == Some(data.path()));
        match holder {
            Some(server) => Err(LocalError::DataInUse {
                path: data.path().to_owned(),
                holder: format!("the mesh at {}", server.url()),
            }),
            None => Ok(Some(data)),
        }
    }

    fn single(
        self,
        parent: &Path,
        data: Option<&DataDirectory>,
        cancellation: &Cancellation,
    ) -> Result<Started, LocalError> {
        let directory = OwnedDirectory::create(parent)?;
        let config = Config {
            directory: directory.path(),
            port: self.ports.first().copied().unwrap_or(0),
            websocket_origins: &self.origins,
            max_payload: self.max_payload,
            member: None,
            data,
            accounts: self.accounts.as_deref(),
        };
        let mut ports = vec![config.port];
        ports.extend(config.websocket_port()?);
        check_ports(&ports, &running(parent, &[directory.path().to_owned()])?)?;
        let binary = self.binary.path();
        let launched = launch(binary, &config, Lifetime::Unbound, cancellation)?;
        let version = self.binary.version().to_string();
        let origins = self.origins.into_vec();
        let data = data.map(DataDirectory::path);
        let record = Record::new(&launched, origins, self.started_in, version, data, None);
        record.write(directory.path())?;
        Ok(Started {
            child: launched.child,
            directory,
            record,
        })
    }

    fn cluster(
        self,
        parent: &Path,
        data: Option<&DataDirectory>,
        cancellation: &Cancellation,
    ) -> Result<Vec<Started>, LocalError> {
        check_ports(&self.ports, &running(parent, &[])?)?;
        let start = NodesStart {
            binary: self.binary.path(),
            ports: &self.ports,
            max_payload: self.max_payload,
            accounts: self.accounts.as_deref(),
            data,
            lifetime: Lifetime::Unbound,
        };
        let (shared, launched) =
            launch_nodes(&start, cancellation, || OwnedDirectory::create(parent))?;
        let urls: Vec<&str> = launched
            .iter()
            .map(|(launched, _)| &*launched.endpoints.url)
            .collect();
        let cluster = ClusterRecord {
            name: shared.name.clone(),
            url: urls.join(","),
        };
        let watched = launched.iter().map(|(launched, directory)| WatchedNode {
            port: launched.endpoints.port,
            directory: directory.path(),
            name: &launched.server_name,
            log_start: launched.log_start,
        });
        wait_ready(&watched.collect::<Vec<_>>(), &shared, cancellation)?;
        let started = launched.into_iter().map(|(launched, directory)| {
            let version = self.binary.version().to_string();
            let started_in = self.started_in.clone();
            let cluster = Some(cluster.clone());
            let data = data.map(DataDirectory::path);
            let record = Record::new(&launched, Vec::new(), started_in, version, data, cluster);
            record.write(directory.path())?;
            Ok(Started {
                child: launched.child,
                directory,
                record,
            })
        });
        started.collect()
    }
}

/// Fails if one of the detached `servers` uses one of `ports`; 0 stands for a free port.
fn check_ports(ports: &[u16], servers: &[DetachedServer]) -> Result<(), LocalError> {
    for &port in ports.iter().filter(|&&port| port != 0) {
        if let Some(server) = servers.iter().find(|server| server.uses(port)) {
            return Err(LocalError::PortTakenByMesh {
                port,
                url: server.url().to_owned(),
                started_in: server.started_in().to_owned(),
            });
        }
    }
    Ok(())
}
