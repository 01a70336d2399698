//! The replicas of the buckets of a mesh: counted, and changed to the wanted number.

use async_nats::jetstream::kv::Store;
use async_nats::jetstream::stream::{Config, Stream};
use futures::future::try_join_all;
use openagentmesh_protocol::bucket::{ARTIFACTS, LEASES};

use super::access::Access;
use super::bucket::Bucket;
use super::ensure::{KEY_VALUE_BUCKETS, ensure_buckets};
use super::error::StoreError;
use super::handle::Handle;
use crate::error::Result;
use crate::transport::{Connection, MAX_REPLICAS, out_of_range};

/// The replicas of one bucket, as [`Client::replicate_buckets`](crate::Client::replicate_buckets) left them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BucketReplicas {
    /// The name of the bucket.
    pub bucket: String,
    /// The number of servers that hold the bucket now.
    pub replicas: usize,
    /// The number of servers that held the bucket before.
    pub previous: usize,
    /// The number of servers that should hold it.
    pub wanted: usize,
}

impl BucketReplicas {
    /// Whether the loss of one server loses the bucket although other servers could hold it.
    #[must_use]
    pub fn is_at_risk(&self) -> bool {
        self.replicas == 1 && self.wanted > 1
    }
}

/// Creates the buckets that are missing, and gives every bucket `replicas` replicas, or else the number that the options
/// of the connection say.
///
/// # Errors
///
/// Those of [`ensure_buckets`]; `configuration` when the number is not one that JetStream allows.
pub(crate) async fn replicate_buckets(
    connection: &Connection,
    replicas: Option<usize>,
) -> Result<Vec<BucketReplicas>> {
    if let Some(replicas) = replicas
        && !(1..=MAX_REPLICAS).contains(&replicas)
    {
        return Err(out_of_range(replicas));
    }
    let wanted = replicas.unwrap_or_else(|| connection.wanted_replicas());
    ensure_buckets(connection).await?;
    let key_value = KEY_VALUE_BUCKETS.map(|name| replicate::<Store>(connection, name, wanted));
    let mut buckets = try_join_all(key_value).await?;
    // Made by the first monitor of the mesh.
    let leases = Bucket::<Store>::new(connection.clone(), LEASES);
    if leases.exists().await? {
        buckets.push(replicate::<Store>(connection, LEASES, wanted).await?);
    }
    buckets.push(replicate::<Stream>(connection, ARTIFACTS, wanted).await?);
    Ok(buckets)
}

async fn replicate<H: Handle>(
    connection: &Connection,
    name: &'static str,
    wanted: usize,
) -> Result<BucketReplicas> {
    let bucket = Bucket::<H>::new(connection.clone(), name);
    let info = |handle: std::sync::Arc<H>| async move { handle.stream().get_info().await };
    let config = bucket.try_with("open", Access::Open, info).await?.config;
    let previous = config.num_replicas;
    let mut replicas = wanted;
    while replicas != previous {
        let config = Config {
            num_replicas: replicas,
            ..config.clone()
        };
        let update = |_| {
            let (jetstream, config) = (bucket.jetstream(), config.clone());
            async move { jetstream.update_stream(config).await }
        };
        match bucket.with(Access::Open, update).await? {
            Ok(_) => break,
            Err(error) if is_too_many(&error, replicas) => {
                replicas -= 1;
                connection.limit_replicas(replicas);
            }
            Err(error) => return Err(error.into_error("replicate", name)),
        }
    }
    Ok(BucketReplicas {
        bucket: name.to_owned(),
        replicas,
        previous,
        wanted,
    })
}

fn is_too_many(error: &StoreError, replicas: usize) -> bool {
    replicas > 1 && error.is_without_peers()
}
