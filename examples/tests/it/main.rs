//! The examples as processes on a real mesh, and the example in the README.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cookbook;
mod examples;
mod foreign_project;
mod llm_tools;
mod orders;
#[path = "../../../crates/openagentmesh-protocol/tests/it/provider_rules.rs"]
mod provider_rules;
mod readme;
mod support;
