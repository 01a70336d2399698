//! The monitor on a simulated mesh, in simulated time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod deaths;
mod host;
mod schedules;
mod world;
