//! Tests against a real `nats-server`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cluster;
mod detours;
mod documented;
mod lifecycle;
mod mesh;
mod reads;
mod support;
mod table;
