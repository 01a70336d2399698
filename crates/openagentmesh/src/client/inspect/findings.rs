//! The causes for concern in the state of a mesh.

use std::collections::BTreeMap;
use std::fmt;

use openagentmesh_protocol::ErrorCode;
use openagentmesh_protocol::bucket::LEASES;

use super::inspection::Inspection;
use crate::error::Error;

/// The number of agents that one finding names.
const MAX_NAMES: usize = 10;

/// A cause for concern; see [`Inspection::findings`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Whether the mesh works in spite of it.
    pub severity: Severity,
    /// The problem and its remedy. May contain text of other processes.
    pub message: String,
}

/// The severity of a [`Finding`]. The more severe one is less in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// A part of the mesh does not work.
    Error,
    /// The mesh works, and may fail later.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

impl Inspection {
    /// The causes for concern, the most severe first. A part that this user may not read is none.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Findings::default();
        if let Err(error) = &self.jetstream {
            findings.failure(error);
        }
        // Without JetStream, all other parts fail for the same reason.
        if findings.0.is_empty() {
            findings.buckets(self);
            findings.liveness(self);
            findings.catalog(self);
        }
        let mut found = findings.0;
        found.sort_by_key(|finding| finding.severity);
        found
    }
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, message: impl Into<String>) {
        self.add(Severity::Error, message.into());
    }

    /// A part that cannot be read. A part that this user may not read is no finding.
    fn failure(&mut self, error: &Error) {
        if error.code() != &ErrorCode::ConnectionDenied {
            self.error(error.message());
        }
    }

    fn warning(&mut self, message: impl Into<String>) {
        self.add(Severity::Warning, message.into());
    }

    fn add(&mut self, severity: Severity, message: String) {
        self.0.push(Finding { severity, message });
    }

    fn buckets(&mut self, inspection: &Inspection) {
        let is_clustered = inspection.server.cluster.is_some();
        let (mut missing, mut single) = (Vec::new(), Vec::new());
        let mut behind: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for status in &inspection.buckets {
            let name = status.bucket;
            let stored = match &status.stored {
                Ok(Some(stored)) => stored,
                // Made by the first monitor.
                Ok(None) if name == LEASES => continue,
                Ok(None) => {
                    missing.push(name);
                    continue;
                }
                Err(error) => {
                    self.failure(error);
                    continue;
                }
            };
            if is_clustered && stored.replicas == 1 {
                single.push(name);
            } else if stored.replicas < status.wanted_replicas {
                self.warning(format!(
                    "bucket '{name}' has {} of {} replicas; oam mesh init adds the others",
                    stored.replicas, status.wanted_replicas
                ));
            }
            if stored.leader.is_none() && stored.replicas > 1 {
                self.error(format!(
                    "bucket '{name}' has no leader; more than half of the servers that hold it must run"
                ));
            }
            for peer in stored.lagging_peers() {
                behind.entry(&peer.name).or_default().push(name);
            }
        }
        if !missing.is_empty() {
            self.warning(format!(
                "missing buckets: {}; the first host creates them, or oam mesh init",
                missing.join(", ")
            ));
        }
        if !single.is_empty() {
            self.warning(format!(
                "buckets of one replica in a cluster: {}; they are lost with one server; \
                 oam mesh init --replicas 3 replicates them",
                single.join(", ")
            ));
        }
        for (server, buckets) in behind {
            self.warning(format!(
                "server {server} is not up to date with {}; check the server",
                buckets.join(", ")
            ));
        }
    }

    fn liveness(&mut self, inspection: &Inspection) {
        for error in [
            inspection.monitor.as_ref().err(),
            inspection.instances.as_ref().err(),
        ] {
            error.into_iter().for_each(|error| self.failure(error));
        }
        let instances = inspection.instances.as_deref().unwrap_or_default();
        for status in instances {
            let id = &status.instance.id;
            if status.is_connected == Some(false) {
                self.warning(format!(
                    "instance {id} is not connected; a monitor removes it"
                ));
            } else if status.is_overdue() {
                self.warning(format!(
                    "instance {id} does not renew its lease: the process is dead or frozen; a monitor removes it"
                ));
            }
        }
        let is_unmonitored = match &inspection.monitor {
            Ok(None) => true,
            Ok(Some(monitor)) => monitor.is_expired(),
            Err(_) => false,
        };
        let unrecorded = inspection.unrecorded.as_deref().unwrap_or_default();
        let has_agents = !instances.is_empty() || !unrecorded.is_empty();
        if is_unmonitored && has_agents {
            self.warning(
                "no monitor holds the lease: entries of dead processes may stay listed; start a host, or oam mesh monitor; on a mesh with users \
                 only the latter, with credentials of the role monitor",
            );
        }
        let unserved: Vec<&str> = unrecorded
            .iter()
            .filter(|agent| agent.is_subscribed == Some(false))
            .map(|agent| agent.agent.as_str())
            .collect();
        if !unserved.is_empty() {
            let more = if unserved.len() > MAX_NAMES {
                ", …"
            } else {
                ""
            };
            let first = &unserved[..unserved.len().min(MAX_NAMES)];
            self.warning(format!(
                "agents without a process: {}{more}; start their hosts, or let a monitor remove the entries",
                first.join(", ")
            ));
        }
    }

    fn catalog(&mut self, inspection: &Inspection) {
        match &inspection.catalog {
            Ok(catalog) => {
                if let Some(problem) = &catalog.problem {
                    self.error(problem.message());
                }
                if catalog.invalid > 0 {
                    self.warning(format!(
                        "{} invalid entries of the catalog are not listed; their hosts must register valid names",
                        catalog.invalid
                    ));
                }
            }
            Err(error) => self.failure(error),
        }
    }
}
