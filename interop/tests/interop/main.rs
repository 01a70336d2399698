//! The Rust SDK and the published Python SDKs on one mesh, in both directions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
mod conformance;
mod errors_at_python;
mod events_from_python;
mod events_from_rust;
mod extensions;
mod json_schema;
mod mismatches;
mod oam;
mod poison;
mod python_calls_rust;
mod python_leaves_streams;
mod python_streams_rust;
mod registering_together;
mod rust_agents;
mod rust_calls_python;
mod rust_streams_python;
mod schema;
mod sends;
mod setup;
mod shared_catalog;
mod shared_discovery;
mod shared_files;
mod shared_values;
mod taps;
mod tools;
mod users;
