//! Files in the sandbox, and the stream that stores the workspace.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream::stream::Stream;

use super::deadline::within_deadline;
use super::test_mesh::TestMesh;

/// More than one message carries.
pub(crate) const LARGE_BYTES: usize = 5_000_000;

/// Bytes of all values, which are not UTF-8.
pub(crate) fn binary_content(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * i / 7 % 256) as u8).collect()
}

/// A path in the working directory of the commands.
pub(crate) fn path(mesh: &TestMesh, name: &str) -> PathBuf {
    mesh.sandbox.work().join(name)
}

/// The stream that stores the workspace.
pub(crate) async fn stream(mesh: &TestMesh) -> Stream {
    let nats = async_nats::connect(&mesh.url).await.unwrap();
    let jetstream = async_nats::jetstream::new(nats);
    jetstream.get_stream("OBJ_mesh-artifacts").await.unwrap()
}

/// Waits until the stream has `expected` messages: one per file and one per chunk.
pub(crate) async fn until_stored(mesh: &TestMesh, expected: u64) {
    let stream = stream(mesh).await;
    within_deadline("stored messages", async {
        let mut interval = tokio::time::interval(Duration::from_millis(20));
        while stream.get_info().await.unwrap().state.messages != expected {
            interval.tick().await;
        }
    })
    .await;
}
