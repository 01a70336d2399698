//! Whether the hosts that work for this process are alive: fails the requests of dead hosts with `agent_died`.

mod mark;
mod notices;
mod questions;
mod suspects;
mod sweep;
mod temporary_monitor;
mod watcher;

pub(crate) use watcher::start;
