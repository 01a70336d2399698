//! The liveness monitor of a mesh: finds dead processes, announces them, and removes their entries.
//!
//! A host of the SDK `openagentmesh` keeps an [instance record](openagentmesh_protocol::InstanceRecord), renews it, and
//! runs a monitor. The published Python SDKs up to 0.2.0 write no record: their agents are judged by their subscriptions.
//!
//! A [`Monitor`] compares the records with the live connections of the mesh's server and with the catalog:
//!
//! * An instance is dead when the connection that its record names is gone and the instance has not written another
//!   record since, or when its record stays unchanged for the time of its lease.
//! * An agent's entries are removed when its last instance is dead, or when neither a record nor a subscription
//!   accounts for them.
//!
//! A client name is never evidence of a death: any client can take any name. A name is only evidence of life.
//!
//! Every removal is guarded by a revision: a process that registers in the meantime keeps its entries. Several
//! monitors may run at once without harm; one of them is active, by a lease.
//!
//! The crate does no I/O. The trait [`Mesh`] stands for the mesh, and time is that of tokio, so that tests run
//! thousands of schedules on paused time.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod burial;
mod connections;
mod disconnect;
mod instance;
mod lease;
mod mesh;
mod monitor;
mod observations;
mod repair;
mod waker;

pub use burial::{death, remove_agents};
pub use connections::{Connections, InvalidReport, Presence};
pub use disconnect::Disconnect;
pub use instance::Instance;
pub use mesh::{Held, Listed, Listing, Mesh, Notice};
pub use monitor::{Monitor, Settings};
pub use waker::Waker;
