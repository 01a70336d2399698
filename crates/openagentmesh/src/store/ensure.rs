//! The six buckets of a mesh.

use async_nats::jetstream::kv::Store;
use async_nats::jetstream::stream::Stream;
use futures::future::{try_join, try_join_all};
use openagentmesh_protocol::bucket::{
    ARTIFACTS, CATALOG, CONTEXT, INSTANCES, OBSERVABILITY, REGISTRY,
};

use super::bucket::Bucket;
use super::handle::Handle;
use super::reads::is_denied;
use crate::error::Result;
use crate::transport::Connection;

/// The key-value buckets; [`ARTIFACTS`] is an object store.
pub(super) const KEY_VALUE_BUCKETS: [&str; 5] =
    [CATALOG, REGISTRY, INSTANCES, OBSERVABILITY, CONTEXT];

/// The buckets that a user may be denied who serves agents.
const OPTIONAL: [&str; 3] = [OBSERVABILITY, CONTEXT, ARTIFACTS];

/// Opens all buckets of the mesh, concurrently, and creates those that are missing. Idempotent: an existing
/// bucket keeps its configuration, also one that a peer creates at the same moment. Buckets that serving agents does not
/// need may be denied to the user.
///
/// # Errors
///
/// `connection_failed` when the server does not answer, `storage_error` when it runs without JetStream or
/// refuses a bucket. Other buckets may be created then.
pub(crate) async fn ensure_buckets(connection: &Connection) -> Result<()> {
    let key_value = KEY_VALUE_BUCKETS.map(|name| ensure::<Store>(connection, name));
    let objects = ensure::<Stream>(connection, ARTIFACTS);
    try_join(try_join_all(key_value), objects).await?;
    Ok(())
}

async fn ensure<H: Handle>(connection: &Connection, name: &'static str) -> Result<()> {
    let ensured = Bucket::<H>::new(connection.clone(), name).ensure().await;
    match ensured {
        Err(error) if is_denied(&error) && OPTIONAL.contains(&name) => {
            tracing::debug!(%error, bucket = name, "a bucket is not opened");
            Ok(())
        }
        ensured => ensured,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use async_nats::jetstream;
    use openagentmesh_local::LocalServer;
    use openagentmesh_protocol::InstanceId;

    use super::*;
    use crate::transport::{ConnectionOptions, Endpoint, dial};

    async fn connect(server: &LocalServer) -> Connection {
        let endpoint = Endpoint::resolve(Some(server.url()), None).unwrap();
        dial(
            &endpoint,
            &ConnectionOptions::default(),
            &InstanceId::random(),
        )
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn missing_buckets_are_created_once_by_concurrent_peers() {
        let server = LocalServer::start().await.unwrap();
        let client = async_nats::connect(server.url()).await.unwrap();
        let jetstream = jetstream::new(client);
        let config = jetstream::kv::Config {
            bucket: CONTEXT.to_owned(),
            history: 5,
            ..Default::default()
        };
        jetstream.create_key_value(config).await.unwrap();

        let (a, b) = (connect(&server).await, connect(&server).await);
        let peers = [&a, &b, &a].map(ensure_buckets);
        try_join_all(peers).await.unwrap();
        ensure_buckets(&a).await.unwrap();

        for name in KEY_VALUE_BUCKETS {
            let stream = jetstream.get_stream(format!("KV_{name}")).await.unwrap();
            let config = &stream.cached_info().config;
            if name == CONTEXT {
                assert_eq!(config.max_messages_per_subject, 5, "of a peer");
                continue;
            }
            assert_eq!(config.subjects, [format!("$KV.{name}.>")]);
            assert_eq!(config.max_messages_per_subject, 1);
            assert!(config.deny_delete && config.allow_rollup && config.allow_message_ttl);
            assert!(!config.allow_direct);
            assert_eq!(config.discard, jetstream::stream::DiscardPolicy::New);
            assert_eq!(config.storage, jetstream::stream::StorageType::File);
            assert_eq!(config.duplicate_window.as_secs(), 120);
        }
        let objects = jetstream.get_stream("OBJ_mesh-artifacts").await.unwrap();
        let config = &objects.cached_info().config;
        let subjects = ["$O.mesh-artifacts.C.>", "$O.mesh-artifacts.M.>"];
        assert_eq!(config.subjects, subjects);
        assert!(config.allow_direct && config.allow_rollup);
    }
}
