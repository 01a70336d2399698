//! One workspace: each SDK reads, replaces, deletes and watches the files of the other.

use std::path::PathBuf;

use interop::{Peer, Sdk};
use openagentmesh::{ErrorCode, ObjectChange, ObjectChanges};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{TestMesh, python_process, raised, within};

interop::with_each_sdk!(
    python_files_are_equal_in_rust,
    rust_files_are_equal_in_python,
    names_of_every_kind_are_shared,
    overwritten_file_leaves_no_chunks,
    deleted_file_is_not_found_by_the_other,
    rust_watch_receives_the_changes_of_python,
    bucket_created_by_python_is_shared,
    bucket_created_by_rust_is_shared,
    buckets_created_by_both_at_once_are_shared,
);

const MEGABYTE: usize = 1024 * 1024;
/// The chunk size of both SDKs.
const CHUNK: usize = 128 * 1024;

/// Content in which all chunks differ.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// A Python process, and a directory for the exchange of content.
struct Exchange {
    peer: Peer,
    directory: TempDir,
}

impl Exchange {
    fn with(peer: Peer) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { peer, directory }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("content")
    }

    async fn put(&mut self, name: &str, content: &[u8]) {
        std::fs::write(self.path(), content).unwrap();
        let arguments = json!({"name": name, "path": self.path()});
        self.peer.ask("file_put", arguments).await.unwrap();
    }

    async fn get(&mut self, name: &str) -> Vec<u8> {
        let arguments = json!({"name": name, "path": self.path()});
        self.peer.ask("file_get", arguments).await.unwrap();
        std::fs::read(self.path()).unwrap()
    }

    /// The class of the exception of a get.
    async fn get_fails(&mut self, name: &str) -> String {
        let arguments = json!({"name": name, "path": self.path()});
        raised(self.peer.ask("file_get", arguments).await).class
    }

    async fn delete(&mut self, name: &str) {
        let arguments = json!({"name": name});
        self.peer.ask("file_delete", arguments).await.unwrap();
    }

    async fn info(&mut self, name: &str) -> Value {
        let arguments = json!({"name": name});
        self.peer.ask("file_info", arguments).await.unwrap()
    }
}

/// The numbers of stored messages and bytes: one message per chunk, and one per name.
async fn stored(test: &TestMesh) -> (u64, u64) {
    let jetstream = async_nats::jetstream::new(test.nats().await);
    let mut stream = jetstream.get_stream("OBJ_mesh-artifacts").await.unwrap();
    let state = &stream.info().await.unwrap().state;
    (state.messages, state.bytes)
}

fn same(one: &[u8], other: &[u8]) -> bool {
    // `assert_eq` would print megabytes.
    one == other
}

async fn python_files_are_equal_in_rust(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = Exchange::with(test.python_peer(sdk).await);
    let files = test.mesh.workspace();

    let text = "Grüße aus Python 🐍";
    let arguments = json!({"name": "notes.txt", "text": text});
    python.peer.ask("file_put_text", arguments).await.unwrap();
    assert_eq!(files.get("notes.txt").await.unwrap(), text.as_bytes());

    for (name, length) in [
        ("empty", 0),
        ("one chunk", CHUNK),
        ("one megabyte", MEGABYTE),
        ("three megabytes", 3 * MEGABYTE + 1),
    ] {
        let content = noise(length);
        python.put(name, &content).await;
        assert!(same(&files.get(name).await.unwrap(), &content), "{name}");
        let info = files.info(name).await.unwrap().unwrap();
        assert_eq!(info.name, name);
        assert_eq!(info.size, length as u64);
        assert!(info.digest.is_some());
        assert_eq!(info.content_type, None);
        assert!(info.metadata.is_empty());

        let copy = python.directory.path().join("copy");
        let copied = files.get(name).to_file(&copy).await.unwrap();
        assert_eq!(copied, info);
        assert!(same(&std::fs::read(copy).unwrap(), &content), "{name}");
    }
    let listed = files.list("").await.unwrap();
    let listed = listed.iter().map(|info| (info.name.as_str(), info.size));
    assert_eq!(
        listed.collect::<Vec<_>>(),
        [
            ("empty", 0),
            ("notes.txt", text.len() as u64),
            ("one chunk", CHUNK as u64),
            ("one megabyte", MEGABYTE as u64),
            ("three megabytes", 3 * MEGABYTE as u64 + 1),
        ]
    );
}

async fn rust_files_are_equal_in_python(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = Exchange::with(test.python_peer(sdk).await);
    let files = test.mesh.workspace();

    for length in [0, 1, CHUNK, CHUNK + 1, 3 * MEGABYTE] {
        let name = format!("{length} bytes");
        let content = noise(length);
        files.put(&name, content.clone()).await.unwrap();
        assert!(same(&python.get(&name).await, &content), "{name}");
    }

    let content = noise(3 * MEGABYTE);
    let path = python.path();
    std::fs::write(&path, &content).unwrap();
    files
        .put_file("report", path)
        .content_type("application/pdf")
        .description("What was found.")
        .metadata("author", "Jürgen")
        .await
        .unwrap();
    assert!(same(&python.get("report").await, &content));
    let info = python.info("report").await;
    assert_eq!(info["size"], content.len());
    assert_eq!(info["chunks"], content.len() / CHUNK);
    assert_eq!(info["description"], "What was found.");
    assert_eq!(
        info["headers"],
        json!({"Content-Type": ["application/pdf"]})
    );

    // A reader of unknown length.
    files
        .put_reader("read", content.as_slice())
        .content_type("image/png")
        .await
        .unwrap();
    assert!(same(&python.get("read").await, &content));
}

async fn names_of_every_kind_are_shared(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = Exchange::with(test.python_peer(sdk).await);
    let files = test.mesh.workspace();
    let names = [
        "reports/2026/11/q4.pdf",
        "two words and more.txt",
        "Übergrößenträger.txt",
        "日本/文書.md",
        "a.*.>",
        "%2F?#",
        "\"quoted\"\\\n\t",
        " ",
        "🦀",
    ];
    for name in names {
        let content = format!("Python's {name}");
        python.put(name, content.as_bytes()).await;
        assert_eq!(
            files.get(name).await.unwrap(),
            content.as_bytes(),
            "{name:?}"
        );
        let content = format!("Rust's {name}");
        files.put(name, content.clone()).await.unwrap();
        assert!(
            same(&python.get(name).await, content.as_bytes()),
            "{name:?}"
        );
    }
    let listed = files.list("").await.unwrap();
    let listed: Vec<_> = listed.iter().map(|info| info.name.as_str()).collect();
    let mut sorted = names;
    sorted.sort_unstable();
    assert_eq!(listed, sorted);
    let reports = files.list("reports/").await.unwrap();
    assert_eq!(reports.len(), 1);
}

async fn overwritten_file_leaves_no_chunks(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = Exchange::with(test.python_peer(sdk).await);
    let files = test.mesh.workspace();
    // Overhead of a stored message.
    const OVERHEAD: u64 = 1024;
    let expect = async |chunks: u64, length: usize| {
        let (messages, bytes) = stored(&test).await;
        assert_eq!(messages, chunks + 1, "the chunks and the metadata");
        let length = length as u64;
        let allowed = length..length + (chunks + 1) * OVERHEAD;
        assert!(allowed.contains(&bytes), "{bytes} bytes of {length}");
    };

    python.put("file", &noise(MEGABYTE)).await;
    expect(8, MEGABYTE).await;
    let content = noise(3 * CHUNK - 7);
    files.put("file", content.clone()).await.unwrap();
    expect(3, content.len()).await;
    assert!(same(&python.get("file").await, &content));

    let content = noise(2 * CHUNK);
    python.put("file", &content).await;
    expect(2, content.len()).await;
    assert!(same(&files.get("file").await.unwrap(), &content));

    files.put("file", "").await.unwrap();
    expect(0, 0).await;
    assert!(python.get("file").await.is_empty());
    python.put("file", b"x").await;
    expect(1, 1).await;
    assert_eq!(files.get("file").await.unwrap(), b"x".as_slice());
}

async fn deleted_file_is_not_found_by_the_other(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = Exchange::with(test.python_peer(sdk).await);
    let files = test.mesh.workspace();
    let content = noise(2 * CHUNK);
    for name in ["own", "theirs"] {
        python.put(name, &content).await;
    }
    files.put("ours", content.clone()).await.unwrap();
    assert_eq!(stored(&test).await.0, 9);

    python.delete("own").await;
    assert!(files.delete("theirs").await.unwrap());
    let own = python.get_fails("own").await;
    assert_eq!(own, "ObjectNotFoundError");
    assert_eq!(python.get_fails("theirs").await, own);
    python.delete("ours").await;
    for name in ["own", "theirs", "ours"] {
        assert_eq!(files.info(name).await.unwrap(), None, "{name}");
        let error = files.get(name).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::NotFound, "{name}");
        assert!(!files.delete(name).await.unwrap(), "{name}");
    }
    assert!(files.list("").await.unwrap().is_empty());
    assert_eq!(stored(&test).await.0, 3, "three deletion markers, no chunk");

    // A deleted name is free for the other SDK.
    python.put("theirs", &content).await;
    assert!(same(&files.get("theirs").await.unwrap(), &content));
    files.put("ours", content.clone()).await.unwrap();
    assert!(same(&python.get("ours").await, &content));
    assert_eq!(stored(&test).await.0, 3 + 4);
}

async fn change(changes: &mut ObjectChanges) -> ObjectChange {
    within(changes.next()).await.unwrap().unwrap()
}

fn is_put(change: &ObjectChange, name: &str, size: u64) -> bool {
    matches!(change, ObjectChange::Put(info) if info.name == name && info.size == size)
}

async fn rust_watch_receives_the_changes_of_python(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = Exchange::with(test.python_peer(sdk).await);
    let files = test.mesh.workspace();
    python.put("reports/old", b"12").await;
    let mut reports = files.watch("reports/").await.unwrap();
    let mut news = files.watch("").updates_only().await.unwrap();
    let first = change(&mut reports).await;
    assert!(is_put(&first, "reports/old", 2), "{first:?}");

    python.put("other", b"1").await;
    let other = change(&mut news).await;
    assert!(is_put(&other, "other", 1), "{other:?}");
    let large = noise(MEGABYTE);
    python.put("reports/größer", &large).await;
    let added = change(&mut reports).await;
    assert!(is_put(&added, "reports/größer", 1 << 20), "{added:?}");
    // The content is complete when the watch reports the file.
    let read = files.get(added.name()).await.unwrap();
    assert!(same(&read, &large));

    python.put("reports/old", b"123").await;
    let replaced = change(&mut reports).await;
    assert!(is_put(&replaced, "reports/old", 3), "{replaced:?}");
    python.delete("reports/old").await;
    let gone = change(&mut reports).await;
    assert!(
        matches!(&gone, ObjectChange::Deleted { name } if name == "reports/old"),
        "{gone:?}"
    );
}

/// Each SDK reads and replaces a file of the other.
async fn work_together(test: &TestMesh, python: &mut Exchange) {
    let files = test.mesh.workspace();
    let content = noise(CHUNK + 1);
    files.put("from rust", content.clone()).await.unwrap();
    assert!(same(&python.get("from rust").await, &content));
    python.put("from python", &content).await;
    assert!(same(&files.get("from python").await.unwrap(), &content));
    files.put("from python", "rust").await.unwrap();
    assert_eq!(python.get("from python").await, b"rust");
    assert_eq!(files.list("from").await.unwrap().len(), 2);
}

async fn bucket_created_by_python_is_shared(sdk: Sdk) {
    let test = TestMesh::start().await;
    // Python creates all buckets of the mesh when it connects.
    let mut python = Exchange::with(test.python_peer(sdk).await);
    work_together(&test, &mut python).await;
}

async fn bucket_created_by_rust_is_shared(sdk: Sdk) {
    let test = TestMesh::start().await;
    let files = test.mesh.workspace();
    files.put("first", "x").await.unwrap();
    let mut python = Exchange::with(test.python_peer(sdk).await);
    assert_eq!(python.get("first").await, b"x");
    work_together(&test, &mut python).await;
    assert_eq!(files.get("first").await.unwrap(), b"x".as_slice());
}

async fn buckets_created_by_both_at_once_are_shared(sdk: Sdk) {
    let test = TestMesh::start().await;
    let mut python = python_process(sdk).await;
    let url = json!({"url": test.server.url()});
    let (files, kv) = (test.mesh.workspace(), test.mesh.kv());
    let (connected, put, written) = tokio::join!(
        python.ask("connect", url),
        files.put("first", "x").into_future(),
        kv.put("first", "x"),
    );
    connected.unwrap();
    put.unwrap();
    written.unwrap();
    let mut python = Exchange::with(python);
    assert_eq!(python.get("first").await, b"x");
    work_together(&test, &mut python).await;
}
