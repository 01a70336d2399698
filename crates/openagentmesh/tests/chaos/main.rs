//! The mesh while its processes are killed, frozen and restarted, under load, by a schedule from a seed.
//!
//! `OAM_SEED` gives another seed than the one of CI, `OAM_SEED=random` a new one, and `OAM_CHAOS_SECONDS` another
//! duration. `OAM_CHAOS_LOGS` names a directory that keeps the logs of the processes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[cfg(unix)]
mod agents;
#[cfg(unix)]
mod caller;
#[cfg(unix)]
mod end_state;
#[cfg(unix)]
mod events;
#[cfg(unix)]
mod hosts;
#[cfg(unix)]
mod ledger;
#[cfg(unix)]
mod run;
#[cfg(unix)]
mod schedule;
#[cfg(unix)]
mod server;
#[cfg(unix)]
mod starvation;
#[allow(dead_code, unused_imports)]
#[path = "../it/support/mod.rs"]
mod support;
