//! Files of the workspace: transfers, interruptions, and the stored messages.

use std::io::Cursor;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::support::{TestMesh, eventually, within};
use crate::workspace_damage::tamper;
use async_nats::jetstream::{self, stream};
use bytes::Bytes;
use openagentmesh::{AgentMesh, ErrorCode, ObjectChange, ObjectInfo, Progress};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

pub(crate) const CHUNK: usize = 128 * 1024;

/// Pseudo-random bytes, so that no two chunks are equal.
pub(crate) fn noise(length: usize) -> Bytes {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(next).collect()
}

/// The state of the stream of the bucket.
async fn stored(test: &TestMesh) -> stream::State {
    let jetstream = jetstream::new(test.raw().await);
    let mut stream = jetstream.get_stream("OBJ_mesh-artifacts").await.unwrap();
    stream.info().await.unwrap().state.clone()
}

/// Waits until so many messages are stored: one for each name, and the chunks of current versions.
pub(crate) async fn stored_are(test: &TestMesh, messages: u64) {
    eventually(|| async { (stored(test).await.messages == messages).then_some(()) }).await;
}

#[tokio::test]
async fn files_of_all_sizes_are_read_back() {
    let test = TestMesh::start().await;
    let (writer, reader) = (test.mesh.workspace(), test.peer().await.workspace());
    let sizes = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 40 * CHUNK + 7];
    for size in sizes {
        let content = noise(size);
        let before = time::OffsetDateTime::now_utc();
        let put = within(writer.put("file", content.clone())).await.unwrap();
        let got = within(reader.get("file")).await.unwrap();
        assert!(got == content, "{size} bytes");
        let info = reader.info("file").await.unwrap().unwrap();
        assert_eq!((info.size, &info.digest), (size as u64, &put.digest));
        let after = time::OffsetDateTime::now_utc();
        assert!((before..=after).contains(&info.modified), "{info:?}");
        // The chunks of the previous version are deleted.
        stored_are(&test, 1 + size.div_ceil(CHUNK) as u64).await;
    }
}

#[tokio::test]
async fn content_type_description_and_metadata_are_stored() {
    let test = TestMesh::start().await;
    let files = test.mesh.workspace();
    let name = "reports/Jänner 2026 (final).pdf";
    let put = files
        .put(name, "%PDF")
        .content_type("application/pdf")
        .description("The numbers of January.")
        .metadata("author", "ops")
        .metadata("pages", "3");
    put.await.unwrap();
    let info = files.info(name).await.unwrap().unwrap();
    assert_eq!(info.name, name);
    assert_eq!(info.content_type.as_deref(), Some("application/pdf"));
    assert_eq!(info.description.as_deref(), Some("The numbers of January."));
    assert_eq!(info.metadata["author"], "ops");
    assert_eq!(info.metadata["pages"], "3");
    assert_eq!(files.info("nosuch").await.unwrap(), None);
}

/// A reader that yields one byte at a time, as a slow pipe does.
struct Trickle(Cursor<Bytes>);

impl AsyncRead for Trickle {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut byte = [0];
        if std::io::Read::read(&mut self.0, &mut byte)? > 0 {
            buffer.put_slice(&byte);
        }
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn readers_writers_and_local_files_are_transferred() {
    let test = TestMesh::start().await;
    let files = test.mesh.workspace();
    let content = noise(2 * CHUNK + 100);

    within(files.put_reader("read", Trickle(Cursor::new(content.clone()))))
        .await
        .unwrap();
    stored_are(&test, 1 + 3).await;
    let mut written = Vec::new();
    let info = within(files.get("read").to_writer(&mut written))
        .await
        .unwrap();
    assert!(written == content && info.size == content.len() as u64);

    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    std::fs::write(&from, &content).unwrap();
    within(files.put_file("file", &from)).await.unwrap();
    std::fs::write(&to, "older").unwrap();
    within(files.get("file").to_file(&to)).await.unwrap();
    assert!(std::fs::read(&to).unwrap() == content);

    let mut reader = within(files.get("file").reader()).await.unwrap();
    assert_eq!(reader.info().name, "file");
    let mut read = Vec::new();
    within(reader.read_to_end(&mut read)).await.unwrap();
    assert!(read == content);

    let error = files
        .put_file("x", directory.path().join("nosuch"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::IoError, "{error}");
    let nowhere = directory.path().join("nosuch/there");
    let error = files.get("file").to_file(&nowhere).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::IoError, "{error}");
    let names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(names.len(), 2, "a temporary file is left: {names:?}");
}

#[tokio::test]
async fn progress_is_reported_for_each_chunk() {
    let test = TestMesh::start().await;
    let files = test.mesh.workspace();
    let content = noise(2 * CHUNK + 1);
    let total = Some(content.len() as u64);
    let expected = [CHUNK, 2 * CHUNK, 2 * CHUNK + 1].map(|bytes| Progress {
        bytes: bytes as u64,
        total,
    });
    let mut reports = Vec::new();
    let put = files.put("file", content.clone());
    put.on_progress(|progress| reports.push(progress))
        .await
        .unwrap();
    assert_eq!(reports, expected);
    reports.clear();
    let get = files.get("file");
    get.on_progress(|progress| reports.push(progress))
        .await
        .unwrap();
    assert_eq!(reports, expected);
    let mut unknown = None;
    let put = files.put_reader("file", Cursor::new(content));
    put.on_progress(|progress| unknown = Some(progress.total))
        .await
        .unwrap();
    assert_eq!(unknown, Some(None));
}

/// A reader that fails at its end.
struct Breaks(Cursor<Bytes>);

impl AsyncRead for Breaks {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.0).poll_read(cx, buffer);
        if buffer.filled().len() == before {
            return Poll::Ready(Err(std::io::Error::other("the disk is gone")));
        }
        read
    }
}

#[tokio::test]
async fn interrupted_upload_keeps_the_previous_version() {
    let test = TestMesh::start().await;
    let files = test.mesh.workspace();
    let content = noise(CHUNK + 1);
    files.put("file", content.clone()).await.unwrap();
    stored_are(&test, 1 + 2).await;

    let breaks = files.put_reader("file", Breaks(Cursor::new(noise(5 * CHUNK))));
    let error = within(breaks).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::IoError);
    assert!(error.message().contains("the disk is gone"), "{error}");
    stored_are(&test, 1 + 2).await;

    // Dropped while it waits for further bytes.
    let (mut feed, reader) = tokio::io::duplex(CHUNK);
    let upload = tokio::spawn({
        let files = files.clone();
        async move { files.put_reader("file", reader).await }
    });
    within(feed.write_all(&noise(4 * CHUNK))).await.unwrap();
    eventually(|| async { (stored(&test).await.messages > 3).then_some(()) }).await;
    upload.abort();
    stored_are(&test, 1 + 2).await;
    assert!(files.get("file").await.unwrap() == content);
}

#[tokio::test]
async fn upload_across_a_deleted_bucket_is_storage_error() {
    let test = TestMesh::start().await;
    let files = test.mesh.workspace();
    test.mesh.create_buckets().await.unwrap();
    let (mut feed, reader) = tokio::io::duplex(CHUNK);
    let upload = tokio::spawn({
        let files = files.clone();
        async move { files.put_reader("file", reader).await }
    });
    within(feed.write_all(&noise(CHUNK))).await.unwrap();
    stored_are(&test, 1).await;
    let jetstream = jetstream::new(test.raw().await);
    let deleted = jetstream.delete_stream("OBJ_mesh-artifacts").await;
    deleted.unwrap();
    drop(feed);
    let error = within(upload).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::StorageError, "{error}");
    assert!(files.info("file").await.unwrap().is_none());
    files.put("file", noise(CHUNK)).await.unwrap();
    assert!(files.get("file").await.unwrap() == noise(CHUNK));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writers_of_one_name_leave_one_version() {
    let test = TestMesh::start().await;
    let peers = [test.peer().await, test.peer().await];
    let writers = (0..10usize).map(|n| {
        let files = peers[n % 2].workspace();
        tokio::spawn(async move { files.put("file", noise(CHUNK * (1 + n))).await })
    });
    for written in within(futures::future::join_all(writers)).await {
        written.unwrap().unwrap();
    }
    let info = test.mesh.workspace().info("file").await.unwrap().unwrap();
    stored_are(&test, 1 + info.size / CHUNK as u64).await;
    let got = within(test.mesh.workspace().get("file")).await.unwrap();
    assert_eq!(got.len() as u64, info.size);
}

async fn names(mesh: &AgentMesh, prefix: &str) -> Vec<String> {
    let listed = mesh.workspace().list(prefix).await.unwrap();
    listed
        .into_iter()
        .map(|ObjectInfo { name, .. }| name)
        .collect()
}

#[tokio::test]
async fn files_with_a_prefix_are_listed_and_deleted() {
    let test = TestMesh::start().await;
    let files = test.mesh.workspace();
    assert!(names(&test.mesh, "").await.is_empty());
    for name in ["b/2", "a", "b/1", "bb"] {
        files.put(name, name.to_owned()).await.unwrap();
    }
    assert_eq!(names(&test.mesh, "").await, ["a", "b/1", "b/2", "bb"]);
    assert_eq!(names(&test.mesh, "b/").await, ["b/1", "b/2"]);
    assert!(files.delete("a").await.unwrap());
    assert!(!files.delete("a").await.unwrap());
    assert!(!files.delete("nosuch").await.unwrap());
    assert_eq!(
        files.get("a").await.unwrap_err().code(),
        &ErrorCode::NotFound
    );
    assert_eq!(files.delete_prefix("b/").await.unwrap(), 2);
    assert_eq!(files.delete_prefix("b/").await.unwrap(), 0);
    assert_eq!(names(&test.mesh, "").await, ["bb"]);
    files.put("a", "again").await.unwrap();
    assert_eq!(&files.get("a").await.unwrap()[..], b"again");
    let error = files.delete_prefix("").await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvalidInput);
}

#[tokio::test]
async fn watch_yields_new_changed_and_deleted_files() {
    let test = TestMesh::start().await;
    let files = test.mesh.workspace();
    files.put("in/old", "1").await.unwrap();
    files.put("out/old", "1").await.unwrap();
    files.put("in/gone", "1").await.unwrap();
    files.delete("in/gone").await.unwrap();
    let watcher = test.peer().await;
    let mut all = within(watcher.workspace().watch("in/")).await.unwrap();
    let mut updates = within(watcher.workspace().watch("in/").updates_only())
        .await
        .unwrap();
    let mut next = async || within(all.next()).await.unwrap().unwrap();
    let put = |change| match change {
        ObjectChange::Put(object) => (object.name, object.size),
        other => panic!("{other:?}"),
    };
    assert_eq!(put(next().await), ("in/old".to_owned(), 1));
    files.put("out/new", "22").await.unwrap();
    files.put("in/new", "22").await.unwrap();
    files.delete("in/old").await.unwrap();
    let mut next_update = async || within(updates.next()).await.unwrap().unwrap();
    for change in [next().await, next_update().await] {
        assert_eq!(put(change), ("in/new".to_owned(), 2));
    }
    for change in [next().await, next_update().await] {
        let name = "in/old".to_owned();
        assert_eq!(change, ObjectChange::Deleted { name });
    }
}

#[tokio::test]
async fn missing_file_invalid_name_and_link_are_errors() {
    let test = TestMesh::start().await;
    let files = test.mesh.workspace();
    let error = files.get("nosuch").await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotFound);
    assert!(
        error.message().contains("file 'nosuch' not found"),
        "{error}"
    );
    for name in [String::new(), "x".repeat(3000)] {
        for error in [
            files.put(&name, "x").await.unwrap_err(),
            files.get(&name).await.unwrap_err(),
            files.info(&name).await.unwrap_err(),
            files.delete(&name).await.unwrap_err(),
        ] {
            assert_eq!(error.code(), &ErrorCode::InvalidInput, "{error}");
        }
    }
    files.put("link", "").await.unwrap();
    tamper(&test, "link", |meta| {
        meta["options"] = json!({"link": {"bucket": "mesh-artifacts", "name": "file"}});
    })
    .await;
    let error = files.get("link").await.unwrap_err();
    assert!(error.message().contains("it refers to 'file'"), "{error}");
}

#[tokio::test]
async fn file_larger_than_max_payload_is_chunked() {
    let test = TestMesh::with_max_payload(16 * 1024).await;
    let files = test.mesh.workspace();
    let content = noise(100_000);
    files.put("file", content.clone()).await.unwrap();
    assert!(within(files.get("file")).await.unwrap() == content);
}

#[tokio::test]
async fn upload_to_a_full_bucket_stores_nothing() {
    let test = TestMesh::start().await;
    let jetstream = jetstream::new(test.raw().await);
    let config = stream::Config {
        name: "OBJ_mesh-artifacts".to_owned(),
        subjects: vec![
            "$O.mesh-artifacts.C.>".into(),
            "$O.mesh-artifacts.M.>".into(),
        ],
        max_bytes: 300_000,
        discard: stream::DiscardPolicy::New,
        allow_rollup: true,
        ..Default::default()
    };
    jetstream.create_stream(config).await.unwrap();
    let files = test.mesh.workspace();
    files.put("small", "fits").await.unwrap();
    let error = within(files.put("large", noise(4 * CHUNK)))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::StorageError, "{error}");
    assert!(
        error.message().contains("maximum bytes exceeded"),
        "{error}"
    );
    stored_are(&test, 2).await;
    assert_eq!(&files.get("small").await.unwrap()[..], b"fits");
}
