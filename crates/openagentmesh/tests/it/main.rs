//! The behaviour of the SDK over a real server, one module per topic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

mod call;
mod cancellation;
mod catalog;
mod connect;
mod context;
mod discovery;
mod events;
mod failure;
mod kv;
mod lifecycle;
mod load;
mod lost_connection;
mod raw;
mod robustness;
mod send;
mod shapes;
mod streams;
mod trace;
mod verbs;
mod workspace;
