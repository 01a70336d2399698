//! The mesh while its processes are killed, frozen and restarted, under load, by a schedule from a seed.
//!
//! `OAM_SEED` gives another seed than the one of CI, `OAM_SEED=random` a new one, and `OAM_CHAOS_SECONDS` another
//! duration. `OAM_CHAOS_LOGS` names a directory that keeps the logs of the processes.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agents;
mod caller;
mod end_state;
mod events;
mod hosts;
mod ledger;
mod run;
mod schedule;
mod server;
mod starvation;
#[allow(dead_code, unused_imports)]
#[path = "../it/support/mod.rs"]
mod support;
