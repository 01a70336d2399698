//! Ctrl-C during `oam workspace put` and `get`.

use std::io::Write;
use std::process::Stdio;

use crate::support::workspace::{LARGE_BYTES, binary_content, until_stored};
use crate::support::{Running, TestMesh};

/// Size of the chunks of a stored file.
const CHUNK_BYTES: usize = 128 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_with_a_full_pipe_ends_the_download() {
    let mesh = TestMesh::start([]).await;
    mesh.client
        .workspace()
        .put("a", binary_content(LARGE_BYTES))
        .await
        .unwrap();
    let mut running = mesh.start_oam(&["workspace", "get", "a"]);
    running.first_byte().await;
    running.signal("-INT");
    let (status, stderr) = running.end().await;
    assert_eq!((status.code(), stderr.as_str()), (Some(130), ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_upload_removes_its_chunks() {
    let mesh = TestMesh::start([]).await;
    // Creates the bucket.
    mesh.client.workspace().put("a", "before").await.unwrap();
    until_stored(&mesh, 2).await;
    let mut command = mesh
        .sandbox
        .command(&["workspace", "put", "a", "--url", &mesh.url]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    command.stdin(Stdio::from(reader));
    let mut running = Running::start(command);
    writer.write_all(&binary_content(LARGE_BYTES)).unwrap();
    // Every full chunk is stored; the writer is open, so the upload is incomplete.
    until_stored(&mesh, 2 + (LARGE_BYTES / CHUNK_BYTES) as u64).await;
    running.signal("-INT");
    let (status, stderr) = running.end().await;
    assert_eq!(status.code(), Some(130), "{stderr}");
    // On a busy machine, the upload may have waited for its input for long enough to say so.
    let is_only_hint = stderr
        .lines()
        .all(|line| line.starts_with("waiting for the end of stdin"));
    assert!(is_only_hint, "{stderr}");
    drop(writer);
    until_stored(&mesh, 2).await;
    let before = mesh.client.workspace().get("a").await.unwrap();
    assert_eq!(&before[..], b"before");
}
