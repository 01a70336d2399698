//! The replicas of the buckets that a connection creates.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::connection::Connection;
use super::replication::{CLUSTER_REPLICAS, Clustered, Replication};

impl Connection {
    /// The same connection, with `replication` for the buckets that it creates.
    pub(crate) fn with_replication(mut self, replication: Replication) -> Self {
        self.replication = Arc::new(replication);
        self
    }

    /// Whether the server is one of a cluster.
    pub(crate) fn is_clustered(&self) -> bool {
        // Nearly every operation on a bucket asks, and the client clones its whole server info for an answer.
        let incarnation = self.incarnation();
        let mut cached = self.clustered.lock();
        if let Some(known) = *cached
            && known.incarnation == incarnation
        {
            return known.is_clustered;
        }
        let is_clustered = self.client().server_info().cluster.is_some();
        *cached = Some(Clustered {
            is_clustered,
            incarnation,
        });
        is_clustered
    }

    /// An id for a message, by which the server recognises it when it is written again; `None` on a single server, which
    /// answers as long as the connection stands.
    pub(crate) fn write_id(&self) -> Option<String> {
        let id = || format!("{:032x}", rand::random::<u128>());
        self.is_clustered().then(id)
    }

    /// The number of replicas of a new bucket, as far as the cluster is known to hold them.
    pub(crate) fn replicas(&self) -> usize {
        let wanted = self.wanted_replicas();
        match self.replication.limit.load(Ordering::Relaxed) {
            0 => wanted,
            limit => wanted.min(limit),
        }
    }

    /// The number of replicas that a bucket should have.
    pub(crate) fn wanted_replicas(&self) -> usize {
        let default = || match self.is_clustered() {
            true => CLUSTER_REPLICAS,
            false => 1,
        };
        self.replication.wanted.unwrap_or_else(default)
    }

    /// Remembers that the cluster cannot hold more than `limit` replicas, and logs the first such warning.
    pub(crate) fn limit_replicas(&self, limit: usize) {
        self.replication.limit.store(limit, Ordering::Relaxed);
        if !self.replication.is_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                wanted = self.wanted_replicas(),
                replicas = limit,
                "the servers cannot hold the wanted number of replicas: buckets get fewer, and less of them outlives \
                 the loss of a server; add servers, then run oam mesh init"
            );
        }
    }
}
