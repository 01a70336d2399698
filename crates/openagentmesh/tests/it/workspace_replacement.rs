//! Files that are replaced while they are read or written, and the consumers that readers leave.

use crate::support::{TestMesh, within};
use crate::workspace::{CHUNK, noise, stored_are};
use futures::{FutureExt, StreamExt};
use openagentmesh::{Download, Error, ErrorCode, Workspace};
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;

/// The chunks of the replaced version are deleted, so the reader cannot continue.
#[tokio::test]
async fn file_replaced_while_it_is_read_is_a_digest_mismatch() {
    let test = TestMesh::start().await;
    let files = test.mesh.workspace();
    files.put("file", noise(100 * CHUNK)).await.unwrap();
    let mut reader = files.get("file").reader().await.unwrap();
    reader.read_exact(&mut [0; 10]).await.unwrap();
    files.put("file", "new").await.unwrap();
    let rest = within(reader.read_to_end(&mut Vec::new())).await;
    let error = rest.unwrap_err();
    let inside = error.get_ref().unwrap().downcast_ref::<Error>().unwrap();
    assert_eq!(inside.code(), &ErrorCode::DigestMismatch, "{inside}");
    assert_eq!(&files.get("file").await.unwrap()[..], b"new");
}

/// A download of a file that is replaced when its first chunk has arrived.
async fn replaced(files: &Workspace) -> Download<'_> {
    files.put("file", noise(100 * CHUNK)).await.unwrap();
    let mut is_first = true;
    files.get("file").on_progress(move |_| {
        if std::mem::take(&mut is_first) {
            let put = files.put("file", "new");
            tokio::task::block_in_place(|| Handle::current().block_on(put)).unwrap();
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn download_of_a_file_that_is_replaced_meanwhile_has_the_new_version() {
    let test = TestMesh::start().await;
    let files = test.mesh.workspace();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    assert_eq!(&within(replaced(&files).await).await.unwrap()[..], b"new");
    let info = within(replaced(&files).await.to_file(&path)).await.unwrap();
    assert_eq!(info.size, 3);
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    // A part of the replaced version is written.
    let mut writer = Vec::new();
    let written = within(replaced(&files).await.to_writer(&mut writer)).await;
    assert_eq!(written.unwrap_err().code(), &ErrorCode::DigestMismatch);
    // A deleted file.
    files.put("file", noise(100 * CHUNK)).await.unwrap();
    let deleted = files.get("file").on_progress(|_| {
        let delete = files.delete("file");
        tokio::task::block_in_place(|| Handle::current().block_on(delete)).unwrap();
    });
    let error = within(deleted).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotFound);
}

/// A file whose chunks are gone is damaged, and no other version.
#[tokio::test]
async fn download_of_a_damaged_file_does_not_start_again() {
    let test = TestMesh::start().await;
    let files = test.mesh.workspace();
    files.put("file", noise(2 * CHUNK)).await.unwrap();
    let jetstream = async_nats::jetstream::new(test.raw().await);
    let stream = jetstream.get_stream("OBJ_mesh-artifacts").await.unwrap();
    stream
        .purge()
        .filter("$O.mesh-artifacts.C.>")
        .await
        .unwrap();
    let error = within(files.get("file")).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::DigestMismatch);
}

/// The upload is dropped while its description replaces the previous one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upload_dropped_during_its_commit_keeps_one_version() {
    let test = TestMesh::start().await;
    let files = test.mesh.workspace();
    files.put("file", "before").await.unwrap();
    let raw = test.raw().await;
    let mut written = crate::support::subscribed(&raw, "$O.mesh-artifacts.M.>").await;
    for _ in 0..20 {
        let upload = tokio::spawn({
            let files = files.clone();
            async move { files.put("file", noise(1000)).await }
        });
        within(futures::StreamExt::next(&mut written))
            .await
            .unwrap();
        upload.abort();
        let got = within(files.get("file")).await.unwrap();
        assert!(got == noise(1000) || got == "before", "{} bytes", got.len());
    }
    stored_are(&test, 2).await;
}

/// The server limits the consumers of a bucket, for all clients together.
#[tokio::test]
async fn reading_and_listing_delete_their_consumers() {
    let test = TestMesh::start().await;
    let raw = test.raw().await;
    let created = crate::support::subscribed(&raw, "$JS.API.CONSUMER.CREATE.>");
    let mut created = created.await;
    let deleted = crate::support::subscribed(&raw, "$JS.API.CONSUMER.DELETE.OBJ_mesh-artifacts.*");
    let mut deleted = deleted.await;
    let files = test.mesh.workspace();
    files.put("small", "x").await.unwrap();
    files.put("large", noise(2 * CHUNK)).await.unwrap();
    let watch = files.watch("").await.unwrap();
    for _ in 0..20 {
        within(files.get("small")).await.unwrap();
        within(files.get("large")).await.unwrap();
        assert_eq!(files.list("").await.unwrap().len(), 2);
    }
    drop(watch);
    crate::support::synchronize(&raw).await;
    let mut count = 0;
    while let Some(created) = created.next().now_or_never().flatten() {
        count += usize::from(created.subject.contains("OBJ_mesh-artifacts"));
    }
    assert!(count > 20, "{count} consumers were created");
    for _ in 0..count {
        within(deleted.next()).await.unwrap();
    }
}
