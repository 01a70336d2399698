//! The liveness of processes: instance records and their leases, and the mesh as the monitor of this process sees it.
//!
//! A file imports only from files that stand before it in this list: `instance`; `records`; `connections`; `lease`,
//! `monitored`.

mod connections;
mod instance;
mod lease;
mod monitored;
mod records;

pub use instance::Instance;

pub(crate) use connections::{CONNECTIONS_SUBJECT, LiveConnections};
pub(crate) use lease::{DEFAULT_LEASE, InstanceLease, MAX_LEASE, MIN_LEASE};
pub(crate) use monitored::MonitoredMesh;
pub(crate) use records::{READ_ONE, Records};
