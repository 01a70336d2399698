//! The tests of local servers, one module per behaviour.
//!
//! Processes that own, start or list servers are roles: ignored tests in [`roles`], which
//! [`support::role`] runs in child processes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[cfg(unix)]
mod accounts;
mod cluster;
mod detached;
mod detached_containers;
mod detached_crashes;
#[cfg(unix)]
mod installation;
mod local_server;
#[cfg(unix)]
mod orphans;
mod roles;
#[cfg(unix)]
mod search;
mod support;
#[cfg(unix)]
mod watchdog;
mod websocket;
