//! The buckets of a mesh with users.

use std::path::Path;

use async_nats::jetstream::{self, stream};
use openagentmesh::protocol::bucket;
use openagentmesh_auth::Credentials;

use crate::failure::Failure;

/// Buckets to which users write single keys. A message that replaces all others (`Nats-Rollup: all`) would reach beyond these.
const SINGLE_KEYS: [&str; 6] = [
    bucket::CATALOG,
    bucket::REGISTRY,
    bucket::INSTANCES,
    bucket::OBSERVABILITY,
    bucket::CONTEXT,
    bucket::LEASES,
];

/// Changes the buckets of a mesh so that permissions for single keys hold: creates that of the leases, which monitors may not,
/// and forbids messages that replace all others.
///
/// Each change is idempotent.
///
/// # Errors
///
/// If the server does not accept one of the changes: the user must be an operator.
pub(in crate::commands) async fn prepare(url: &str, operator: &Path) -> Result<(), Failure> {
    let credentials = Credentials::read(operator)?;
    try_prepare(url, &credentials).await.map_err(|error| {
        Failure::local(format!("cannot prepare the buckets for users: {error}"))
            .hint("run oam mesh init with the credentials of an operator")
    })
}

async fn try_prepare(url: &str, credentials: &Credentials) -> Result<(), async_nats::Error> {
    let options = async_nats::ConnectOptions::with_credentials(&credentials.to_text())?;
    let addresses: Vec<&str> = url.split(',').map(str::trim).collect();
    let jetstream = jetstream::new(options.connect(addresses).await?);
    let stream_of = |bucket: &str| format!("KV_{bucket}");
    let catalog = jetstream.get_stream(stream_of(bucket::CATALOG)).await?;
    let like_catalog = catalog.cached_info().config.clone();
    jetstream
        .get_or_create_stream(stream::Config {
            name: stream_of(bucket::LEASES),
            subjects: vec![format!("$KV.{}.>", bucket::LEASES)],
            ..like_catalog
        })
        .await?;
    for name in SINGLE_KEYS {
        let found = jetstream.get_stream(stream_of(name)).await?;
        let before = &found.cached_info().config;
        if before.allow_rollup {
            let after = stream::Config {
                allow_rollup: false,
                ..before.clone()
            };
            jetstream.update_stream(after).await?;
        }
    }
    Ok(())
}
