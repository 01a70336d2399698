//! The behaviour of the SDK over a real server, one module per topic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../openagentmesh-protocol/tests/it/provider_rules.rs"]
mod provider_rules;
mod support;

mod agent_arguments;
mod agent_errors;
mod background;
mod blocking;
#[cfg(target_os = "linux")]
mod bounded_memory;
mod buckets;
mod call;
mod cancellation;
mod catalog;
mod catalog_followers;
mod client_interceptors;
mod cluster;
mod connect;
mod connection_state;
mod context;
mod credentials;
mod dead_client;
#[cfg(unix)]
mod dead_hosts;
mod denied;
mod deputy;
mod detached;
mod discovery;
mod endpoints;
mod error_codes;
mod events;
mod failed_registration;
mod failure;
#[cfg(unix)]
mod frozen_host;
#[cfg(unix)]
mod frozen_instance;
#[cfg(unix)]
mod frozen_replica;
#[cfg(unix)]
mod frozen_server;
#[cfg(unix)]
mod host_signals;
#[cfg(target_os = "linux")]
mod hostile;
mod hostile_catalogs;
mod inspect;
mod instances;
mod interceptors;
mod invalid_entries;
mod kv;
#[cfg(unix)]
mod lame_duck;
mod least_privilege;
mod lifecycle;
mod listing_by_monitor;
mod load;
mod logs;
mod lost_connection;
mod monitor;
mod nats_client;
mod options;
mod raw;
mod requests_are_futures;
mod restored_bucket;
mod retries;
mod robustness;
mod send;
mod shapes;
mod slow_link;
mod storage_error;
mod stored_poison;
mod stream_batches;
mod streams;
mod tools;
mod trace;
mod typed_calls;
mod unpolled_futures;
mod verbs;
mod verdicts;
mod workspace;
mod workspace_damage;
mod workspace_replacement;
