//! Whether the hosts that work for this process are alive: fails the requests of dead hosts with `agent_died`.

mod questions;
mod stand_in;
mod suspects;
mod sweep;
mod watcher;

pub(crate) use watcher::start;
