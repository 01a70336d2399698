//! A server with users, and clients of single lines of the protocol.

pub(crate) mod buckets;
mod client;
mod server;

use std::future::IntoFuture;
use std::time::Duration;

pub(crate) use client::Client;
pub(crate) use server::{AuthServer, ServerProcess};

/// Far longer than needed: tests run in parallel on shared machines.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) async fn within<T>(work: impl IntoFuture<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work.into_future())
        .await
        .unwrap_or_else(|_| panic!("timeout after {DEADLINE:?}"))
}
