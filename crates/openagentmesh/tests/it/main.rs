//! The behaviour of the SDK over a real server, one module per topic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

mod background;
mod blocking;
mod buckets;
mod call;
mod cancellation;
mod catalog;
mod client_interceptors;
mod connect;
mod context;
mod discovery;
mod error_codes;
mod events;
mod failure;
mod interceptors;
mod kv;
mod lifecycle;
mod load;
mod lost_connection;
mod options;
mod raw;
mod restored_bucket;
mod robustness;
mod send;
mod shapes;
mod storage_error;
mod streams;
mod trace;
mod verbs;
mod verdicts;
mod workspace;
mod workspace_replacement;
