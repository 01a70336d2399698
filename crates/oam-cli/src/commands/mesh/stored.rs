//! The values and files that a mesh stores, as numbers.

use std::time::Duration;

use async_nats::jetstream;
use futures::TryStreamExt;
use indicatif::HumanBytes;
use openagentmesh::AgentMesh;
use openagentmesh::protocol::bucket;
use serde::Serialize;

/// The limit of counting: the command goes on without the numbers.
const COUNT_TIMEOUT: Duration = Duration::from_secs(5);

/// The buckets in which the hosts of a mesh keep their own entries.
const OWN_BUCKETS: [&str; 5] = [
    bucket::CATALOG,
    bucket::REGISTRY,
    bucket::INSTANCES,
    bucket::OBSERVABILITY,
    bucket::LEASES,
];

/// The content of a mesh, without the entries of its hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Stored {
    /// Values in `buckets` buckets.
    pub(super) values: u64,
    pub(super) buckets: u64,
    pub(super) files: u64,
    /// Messages in streams that are neither values nor files.
    pub(super) other_messages: u64,
    /// The size of all of them in the store.
    pub(super) bytes: u64,
}

impl Stored {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// For people: "12 values in 3 buckets and 2 files (1.2 MiB)".
    pub(super) fn in_words(&self) -> String {
        let mut parts = Vec::new();
        if self.values > 0 {
            let values = counted(self.values, "value");
            parts.push(format!("{values} in {}", counted(self.buckets, "bucket")));
        }
        if self.files > 0 {
            parts.push(counted(self.files, "file"));
        }
        if self.other_messages > 0 {
            let messages = counted(self.other_messages, "message");
            parts.push(format!("{messages} of other streams"));
        }
        let listed = match parts.as_slice() {
            [] => "nothing".to_owned(),
            [one] => one.clone(),
            [first @ .., last] => format!("{} and {last}", first.join(", ")),
        };
        format!("{listed} ({})", HumanBytes(self.bytes))
    }
}

fn counted(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// Counts what the mesh at `url`, which needs no credentials, stores. `None` if it cannot be counted within seconds.
pub(super) async fn count(url: &str) -> Option<Stored> {
    match tokio::time::timeout(COUNT_TIMEOUT, try_count(url)).await {
        Ok(Ok(stored)) => Some(stored),
        Ok(Err(error)) => {
            tracing::debug!(%error, "cannot count what the mesh stores");
            None
        }
        Err(_) => None,
    }
}

async fn try_count(url: &str) -> Result<Stored, async_nats::Error> {
    let addresses: Vec<&str> = url.split(',').collect();
    let nats = async_nats::connect(addresses).await?;
    let jetstream = jetstream::new(nats);
    let mut stored = Stored::default();
    let mut streams = jetstream.streams();
    while let Some(stream) = streams.try_next().await? {
        let name = &*stream.config.name;
        let messages = stream.state.messages;
        if messages == 0 {
            continue;
        }
        match (name.strip_prefix("KV_"), name.strip_prefix("OBJ_")) {
            (Some(bucket), _) if OWN_BUCKETS.contains(&bucket) => continue,
            (Some(bucket), _) => {
                let values = values(&jetstream, bucket).await.unwrap_or(messages);
                if values == 0 {
                    continue;
                }
                stored.values += values;
                stored.buckets += 1;
            }
            (_, Some(bucket::ARTIFACTS)) => {
                let files = files(url).await?;
                if files == 0 {
                    continue;
                }
                stored.files += files;
            }
            _ => stored.other_messages += messages,
        }
        stored.bytes += stream.state.bytes;
    }
    Ok(stored)
}

/// The number of keys that have a value: deleted ones leave a message.
async fn values(jetstream: &jetstream::Context, bucket: &str) -> Result<u64, async_nats::Error> {
    let keys = jetstream.get_key_value(bucket).await?.keys().await?;
    let count = keys.try_fold(0, |count, _| async move { Ok(count + 1) });
    Ok(count.await?)
}

async fn files(url: &str) -> Result<u64, async_nats::Error> {
    let mesh = AgentMesh::connect(url).await?;
    let files = mesh.workspace().list("").await?.len();
    mesh.shutdown().await?;
    Ok(u64::try_from(files)?)
}

#[cfg(test)]
mod tests {
    use super::Stored;

    #[test]
    fn content_is_described_with_its_size() {
        let all = Stored {
            values: 12,
            buckets: 3,
            files: 2,
            other_messages: 1,
            bytes: 1_258_291,
        };
        assert_eq!(
            all.in_words(),
            "12 values in 3 buckets, 2 files and 1 message of other streams (1.20 MiB)"
        );
        let one = Stored {
            values: 1,
            buckets: 1,
            bytes: 100,
            ..Stored::default()
        };
        assert_eq!(one.in_words(), "1 value in 1 bucket (100 B)");
    }
}
