//! The real `nats-server` for local use: search, installation, configuration, start, stop.
//!
//! * [`LocalServer`] is a temporary server that lives as long as the value, and never longer than
//!   this process: for tests, examples and programs with a mesh of their own.
//! * [`LocalCluster`] is a temporary cluster of such servers, whose nodes can be killed and restarted.
//! * [`DetachedServer`] outlives the process that started it, until it is stopped: `oam mesh up`
//!   and `oam mesh down`.
//! * [`RunningMesh`] is any mesh of `oam mesh up`, and [`KeptData`] the data that such a mesh has left in a directory.
//! * [`NatsServerSearch`] finds or installs the program; all servers use it.
//!
//! All files are in `~/.agentmesh`: `bin` has the installed program, `run` the temporary servers,
//! `mesh` the detached ones, and `kept` the paths of data that is kept in other directories. Servers listen on the loopback interface only. A WebSocket port is open
//! only if origins are given, and then only for web pages of these origins.
//!
//! The environment variable `OAM_NATS_SERVER` can select the program to use.
//!
//! # Example
//!
//! ```no_run
//! # async fn example() -> Result<(), openagentmesh_local::LocalError> {
//! use openagentmesh_local::LocalServer;
//!
//! let server = LocalServer::start().await?;
//! println!("the mesh runs at {}", server.url());
//! server.stop().await?;
//! # Ok(())
//! # }
//! ```

#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod accounts;
mod background;
mod binary;
mod cluster;
mod config;
mod data;
mod detached;
mod directory;
mod error;
mod greeting;
mod home;
mod launch;
mod orphans;
mod platform;
mod process;
mod record;
mod server;
mod watchdog;
mod websocket;

pub use binary::{NATS_SERVER_VARIABLE, NatsServer, NatsServerSearch};
pub use cluster::{ClusterNode, LocalCluster, LocalClusterBuilder};
pub use data::KeptData;
pub use detached::{DetachedServer, DetachedServerBuilder, RunningMesh, ServerLog};
pub use error::{Attempt, Attempts, LocalError};
pub use server::{LocalServer, LocalServerBuilder};
