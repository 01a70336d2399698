//! Settings of detached servers: start, list, search.

use std::path::{Path, PathBuf};

use super::record::{self, ClusterRecord, Record};
use super::running::running;
use super::server::{DetachedServer, Node};
use crate::background::Cancellation;
use crate::binary::NatsServer;
use crate::cluster::{launch_nodes, node_ports, wait_ready};
use crate::config::{Config, DEFAULT_MAX_PAYLOAD};
use crate::directory::{OwnedDirectory, create_private};
use crate::home::Home;
use crate::launch::{Lifetime, launch};
use crate::process::OwnedChild;
use crate::server::choose_binary;
use crate::websocket::Origins;
use crate::{LocalError, background};

/// The default port of NATS clients.
const DEFAULT_PORT: u16 = 4222;

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
    /// * [`LocalError::Exited`], [`LocalError::NotReady`]: the server failed to start; the error
    ///   contains the end of its log.
    /// * [`LocalError::Locked`]: another process starts or stops a server for more than 30 s.
    /// * [`LocalError::PathNotText`], [`LocalError::Io`]: the directory cannot be used.
    /// * [`LocalError::Interrupted`]: the runtime is stopping.
    ///
    /// After an error neither process nor directory remains.
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
        let started_in = match self.started_in {
            Some(path) => std::path::absolute(&path).map_err(LocalError::io("resolve", &path))?,
            None => std::env::current_dir()
                .map_err(LocalError::io("find", Path::new("the working directory")))?,
        };
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
            started_in,
            binary,
        };
        let (started, _lock) = background::run(move |cancellation| {
            let parent = home.detached_servers();
            create_private(&parent)?;
            // The lock is held until the record is written, so that other processes see complete
            // servers only, and a starting server's port counts as in use.
            let lock = record::lock(&parent, cancellation)?;
            let started = if start.is_cluster {
                start.cluster(&parent, cancellation)?
            } else {
                vec![start.single(&parent, cancellation)?]
            };
            Ok((started, lock))
        })
        .await?;
        // No await follows, so a dropped future cannot interrupt the rest.
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
        let ports: Vec<u16> = url.split(',').filter_map(loopback_port).collect();
        if ports.is_empty() {
            return Ok(None);
        }
        let servers = self.list().await?;
        Ok(servers
            .into_iter()
            .find(|server| ports.iter().any(|&port| server.uses(port))))
    }
}

/// The settings of one start.
struct Start {
    ports: Vec<u16>,
    is_cluster: bool,
    origins: Origins,
    max_payload: u32,
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
    fn single(self, parent: &Path, cancellation: &Cancellation) -> Result<Started, LocalError> {
        let directory = OwnedDirectory::create(parent)?;
        let config = Config {
            directory: directory.path(),
            port: self.ports.first().copied().unwrap_or(0),
            websocket_origins: &self.origins,
            max_payload: self.max_payload,
            member: None,
        };
        let mut ports = vec![config.port];
        ports.extend(config.websocket_port()?);
        check_ports(&ports, &running(parent, &[directory.path().to_owned()])?)?;
        let binary = self.binary.path();
        let launched = launch(binary, &config, Lifetime::Unbound, cancellation)?;
        let version = self.binary.version().to_string();
        let origins = self.origins.into_vec();
        let record = Record::new(&launched, origins, self.started_in, version, None);
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
        cancellation: &Cancellation,
    ) -> Result<Vec<Started>, LocalError> {
        check_ports(&self.ports, &running(parent, &[])?)?;
        let (shared, launched) = launch_nodes(
            self.binary.path(),
            &self.ports,
            self.max_payload,
            Lifetime::Unbound,
            cancellation,
            || OwnedDirectory::create(parent),
        )?;
        let urls: Vec<&str> = launched
            .iter()
            .map(|(launched, _)| &*launched.endpoints.url)
            .collect();
        let cluster = ClusterRecord {
            name: shared.name.clone(),
            url: urls.join(","),
        };
        if let Some((first, directory)) = launched.first() {
            let (port, directory) = (first.endpoints.port, directory.path());
            wait_ready(
                port,
                directory,
                &shared.system,
                launched.len(),
                cancellation,
            )?;
        }
        let started = launched.into_iter().map(|(launched, directory)| {
            let version = self.binary.version().to_string();
            let started_in = self.started_in.clone();
            let cluster = Some(cluster.clone());
            let record = Record::new(&launched, Vec::new(), started_in, version, cluster);
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

/// The port of a URL of the loopback interface; `None` for other hosts.
fn loopback_port(url: &str) -> Option<u16> {
    let address = url.split_once("://").map_or(url, |(_, address)| address);
    let address = address.split(['/', '?', '#']).next()?;
    let address = address
        .rsplit_once('@')
        .map_or(address, |(_, address)| address);
    let (host, port) = match address.rsplit_once(':') {
        // A colon in brackets is part of an IPv6 host.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (address, DEFAULT_PORT),
    };
    let is_loopback =
        host.eq_ignore_ascii_case("localhost") || matches!(host, "127.0.0.1" | "[::1]");
    is_loopback.then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_url_is_recognised_with_its_port() {
        for (url, port) in [
            ("nats://127.0.0.1:4300", Some(4300)),
            ("nats://localhost", Some(4222)),
            ("LOCALHOST:1", Some(1)),
            ("nats://user:p:w@localhost:4300/", Some(4300)),
            ("ws://[::1]:4301", Some(4301)),
            ("[::1]", Some(4222)),
            ("nats://demo.example:4222", None),
            ("nats://localhost:port", None),
            ("", None),
        ] {
            assert_eq!(loopback_port(url), port, "{url}");
        }
    }
}
