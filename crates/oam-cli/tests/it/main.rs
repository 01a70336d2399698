//! The program `oam` on a real mesh, one file per behaviour.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod auth;
mod call;
mod catalog;
mod completions;
mod conform;
mod connect;
mod context;
mod context_file;
mod contract;
mod dead_client;
mod demo;
mod denied;
mod edit;
mod exit_codes;
mod files;
mod global_options;
mod help;
mod input;
mod invisible_text;
mod kv;
mod kv_watch;
mod listen;
mod man;
mod mesh_data;
mod mesh_list;
mod mesh_logs;
mod mesh_monitor;
mod mesh_status;
mod mesh_up;
#[allow(dead_code, reason = "the tests of the SDK use more of it")]
#[path = "../../../openagentmesh/tests/it/support/operator.rs"]
mod operator;
#[path = "../../../openagentmesh-protocol/tests/it/provider_rules.rs"]
mod provider_rules;
mod publish;
mod screens;
mod script;
mod self_uninstall;
mod send;
mod similar;
mod stdin;
mod stopped_reader;
mod stored_poison;
mod stream;
mod subscribe;
mod support;
mod tools;
#[cfg(target_os = "linux")]
mod unwritable_output;
mod url_file;
mod version;
mod workspace;
mod workspace_get;
mod workspace_interrupt;
mod wrong_verb;
