//! The tests of the wire protocol, one module per behaviour.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod captures;
mod error_codes;
mod hostile_catalog;
mod instance_records;
mod properties;
mod provider_rules;
mod tool_arguments;
mod tool_forms;
mod tool_hostile;
mod tool_limits;
mod tool_properties;
mod tools;
