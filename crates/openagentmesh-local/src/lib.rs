//! The real `nats-server` for local use: find it, install it, configure it, run it, stop it.
//!
//! * [`LocalServer`] is a throwaway server that lives as long as the value, and never longer than
//!   this process, however that ends: for tests, examples and programs that bring their own mesh.
//! * [`DetachedServer`] outlives the process that started it, until it is stopped: `oam mesh up`
//!   and `oam mesh down`.
//! * [`NatsServerSearch`] finds the program or installs it; both of the above use it.
//!
//! Everything is kept in `~/.agentmesh`: `bin` has the installed program, `run` the throwaway
//! servers, `mesh` the detached ones. Servers listen on the loopback interface only.
//!
//! The environment variable `OAM_NATS_SERVER` may name the program to use.
//!
//! # Example
//!
//! ```no_run
//! # async fn example() -> Result<(), openagentmesh_local::LocalError> {
//! use openagentmesh_local::LocalServer;
//!
//! let server = LocalServer::start().await?;
//! println!("a mesh is at {}", server.url());
//! server.stop().await?;
//! # Ok(())
//! # }
//! ```

#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod background;
mod binary;
mod config;
mod detached;
mod directory;
mod error;
mod greeting;
mod home;
mod launch;
mod orphans;
mod platform;
mod process;
mod server;
mod watchdog;

pub use binary::{NATS_SERVER_VARIABLE, NatsServer, NatsServerSearch};
pub use detached::{DetachedServer, DetachedServerBuilder};
pub use error::{Attempt, Attempts, LocalError};
pub use server::{LocalServer, LocalServerBuilder};
