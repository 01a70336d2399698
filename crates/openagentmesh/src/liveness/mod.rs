//! The liveness of processes: instance records and their leases, and the mesh as the monitor of this process sees it.
//!
//! A file imports only from files that stand before it in this list: `instance`, `monitor_event`; `records`; `connections`,
//! `advisories`; `lease`, `lister`, `monitored`; `monitoring`, `status`.

mod advisories;
mod connections;
mod instance;
mod lease;
mod lister;
mod monitor_event;
mod monitored;
mod monitoring;
mod records;
mod status;

pub use instance::Instance;
pub use monitor_event::MonitorEvent;
pub use status::{InstanceStatus, MonitorStatus, UnrecordedAgent};

pub(crate) use advisories::SystemAdvisories;
pub(crate) use connections::{CONNECTIONS_SUBJECT, LiveConnections};
pub(crate) use lease::{DEFAULT_LEASE, InstanceLease, MAX_LEASE, MIN_LEASE};
pub(crate) use lister::list_agents;
pub(crate) use monitor_event::Observer;
pub(crate) use monitored::MonitoredMesh;
pub(crate) use monitoring::monitor;
pub(crate) use records::{READ_ONE, Records};
pub(crate) use status::{instance_status, monitor_status, unrecorded_agents};
