//! The settings that the nodes of a cluster share, and their start.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::path::Path;

use crate::LocalError;
use crate::background::Cancellation;
use crate::config::{Config, Member, SharedConfig, SystemCredentials, random_password};
use crate::data::DataDirectory;
use crate::directory::{OwnedDirectory, new_id};
use crate::launch::{Launched, launch};
use crate::process::Lifetime;
use crate::websocket::Origins;

/// The allowed numbers of nodes. Two nodes lose their quorum with one of them.
const NODES: RangeInclusive<usize> = 3..=9;

/// Maximum number of starts when other programs take the ports of the routes first.
const MAX_STARTS: usize = 5;

impl SharedConfig {
    /// The settings of a new cluster with free ports for the routes of `nodes` nodes.
    fn new(
        nodes: usize,
        max_payload: u32,
        accounts: Option<&str>,
        data: Option<&DataDirectory>,
    ) -> Result<Self, LocalError> {
        // All listeners are open at the same time, so that the ports differ.
        let listeners: Result<Vec<_>, _> = (0..nodes)
            .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .collect();
        let ports = listeners.and_then(|listeners| {
            let ports = listeners.iter().map(|l| Ok(l.local_addr()?.port()));
            ports.collect::<Result<Vec<_>, _>>()
        });
        Ok(Self {
            name: data
                .and_then(DataDirectory::cluster_name)
                .map_or_else(|| format!("oam-{}", new_id()), str::to_owned),
            route_ports: ports.map_err(LocalError::io("choose", Path::new("free ports")))?,
            route_password: random_password(),
            system: SystemCredentials::random(),
            max_payload,
            accounts: accounts.map(str::to_owned),
        })
    }

    /// Whether `error` is that of a node whose port for routes is in use.
    fn is_route_port_taken(&self, error: &LocalError) -> bool {
        let LocalError::Exited { log, .. } = error else {
            return false;
        };
        self.route_ports
            .iter()
            .any(|port| log.contains(&format!("127.0.0.1:{port}: bind")))
    }
}

/// The ports for clients of `nodes` nodes: `port` and the ones after it, or all 0.
///
/// # Errors
///
/// [`LocalError::InvalidCluster`], [`LocalError::InvalidClusterPort`].
pub(crate) fn node_ports(port: u16, nodes: usize) -> Result<Vec<u16>, LocalError> {
    if !NODES.contains(&nodes) {
        return Err(LocalError::InvalidCluster { nodes });
    }
    if port == 0 {
        return Ok(vec![0; nodes]);
    }
    let ports: Vec<u16> = (port..=u16::MAX).take(nodes).collect();
    if ports.len() < nodes {
        return Err(LocalError::InvalidClusterPort { port, nodes });
    }
    Ok(ports)
}

/// What the nodes of a cluster are started with.
pub(crate) struct NodesStart<'a> {
    pub(crate) binary: &'a Path,
    /// The ports for clients, one for each node; see [`node_ports`].
    pub(crate) ports: &'a [u16],
    /// Maximum message size in bytes.
    pub(crate) max_payload: u32,
    /// See [`Config::accounts`].
    pub(crate) accounts: Option<&'a str>,
    pub(crate) data: Option<&'a DataDirectory>,
    pub(crate) lifetime: Lifetime,
}

/// Starts one node per port in directories of `create_directory`, and returns once each answers. After an
/// error neither process nor directory remains.
pub(crate) fn launch_nodes(
    start: &NodesStart<'_>,
    cancellation: &Cancellation,
    create_directory: impl Fn() -> Result<OwnedDirectory, LocalError>,
) -> Result<(SharedConfig, Vec<(Launched, OwnedDirectory)>), LocalError> {
    let &NodesStart {
        binary,
        ports,
        max_payload,
        accounts,
        data,
        lifetime,
    } = start;
    let mut starts = 0;
    loop {
        starts += 1;
        let cluster = SharedConfig::new(ports.len(), max_payload, accounts, data)?;
        let nodes = ports.iter().enumerate().map(|(index, &port)| {
            let directory = create_directory()?;
            let config = Config {
                directory: directory.path(),
                port,
                websocket_origins: &Origins::default(),
                max_payload,
                member: Some(Member {
                    cluster: &cluster,
                    index,
                }),
                data,
                accounts,
            };
            let launched = launch(binary, &config, lifetime, cancellation)?;
            Ok((launched, directory))
        });
        let launched: Result<Vec<_>, LocalError> = nodes.collect();
        match launched {
            Ok(nodes) => return Ok((cluster, nodes)),
            Err(error) if starts < MAX_STARTS && cluster.is_route_port_taken(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_nodes_are_consecutive_or_free() {
        assert_eq!(node_ports(4222, 3).unwrap(), [4222, 4223, 4224]);
        assert_eq!(node_ports(0, 5).unwrap(), [0; 5]);
        assert!(matches!(
            node_ports(65_534, 3),
            Err(LocalError::InvalidClusterPort { port: 65_534, .. })
        ));
        for nodes in [0, 2, 10] {
            assert!(matches!(
                node_ports(0, nodes),
                Err(LocalError::InvalidCluster { .. })
            ));
        }
    }
}
