//! `oam workspace get`: damaged content, terminals and closed pipes.

use crate::support::TestMesh;
use crate::support::workspace::{LARGE_BYTES, binary_content, path, stream};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_download_leaves_the_file_unchanged() {
    let mesh = TestMesh::start([]).await;
    let files = mesh.client.workspace();
    files.put("a", binary_content(LARGE_BYTES)).await.unwrap();
    std::fs::write(path(&mesh, "a"), "unchanged").unwrap();
    let chunks = "$O.mesh-artifacts.C.>";
    stream(&mesh)
        .await
        .purge()
        .filter(chunks)
        .keep(2)
        .await
        .unwrap();
    let output = mesh.oam(&["workspace", "get", "a", "a"]);
    assert_eq!(output.code, 1);
    assert!(
        output.stderr.contains("error[digest_mismatch]")
            && output.stderr.contains("hint: get it again"),
        "{output:?}"
    );
    assert_eq!(std::fs::read(path(&mesh, "a")).unwrap(), b"unchanged");
    let left: Vec<_> = std::fs::read_dir(mesh.sandbox.work()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn existing_file_in_a_terminal_is_kept_without_force() {
    let mesh = TestMesh::start([]).await;
    let files = mesh.client.workspace();
    files.put("reports/a.txt", "first").await.unwrap();
    let path = path(&mesh, "a.txt");
    let (code, seen) = mesh.oam_in_terminal(&["workspace", "get", "reports/a.txt"]);
    assert_eq!(code, 0, "{seen}");
    assert!(
        seen.ends_with("got reports/a.txt, 5 B, into a.txt\n"),
        "{seen}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"first");

    files.put("reports/a.txt", "second").await.unwrap();
    let (code, seen) = mesh.oam_in_terminal(&["workspace", "get", "reports/a.txt"]);
    assert_eq!(code, 1, "{seen}");
    assert!(seen.contains("a.txt already exists"), "{seen}");
    assert!(seen.contains("--force replaces it"), "{seen}");
    assert_eq!(std::fs::read(&path).unwrap(), b"first");
    let (code, seen) = mesh.oam_in_terminal(&["workspace", "get", "reports/a.txt", "--force"]);
    assert_eq!(code, 0, "{seen}");
    assert_eq!(std::fs::read(&path).unwrap(), b"second");

    let (code, seen) = mesh.oam_in_terminal(&["workspace", "get", "reports/a.txt", "-"]);
    assert_eq!((code, seen.as_str()), (0, "second\n"));
    let (code, seen) = mesh.oam_in_terminal(&["workspace", "get", "reports/.."]);
    assert_eq!(code, 2, "{seen}");
    assert!(
        seen.contains("cannot derive a file name from 'reports/..'"),
        "{seen}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminal_gets_text_without_control_characters_and_no_binary_file() {
    let mesh = TestMesh::start([]).await;
    let files = mesh.client.workspace();
    files.put("text", "red: \u{1b}[31m\n").await.unwrap();
    files.put("binary", vec![0xff, 0x00]).await.unwrap();
    files.put("large", "a".repeat(LARGE_BYTES)).await.unwrap();
    let (code, seen) = mesh.oam_in_terminal(&["workspace", "get", "text", "-"]);
    assert_eq!((code, seen.as_str()), (0, "red: \\u{1b}[31m\n"));
    for (name, problem) in [
        ("binary", "binary file not printed"),
        ("large", "file of 5000000 bytes not printed"),
    ] {
        let (code, seen) = mesh.oam_in_terminal(&["workspace", "get", name, "-"]);
        assert_eq!(code, 1, "{seen}");
        assert!(seen.contains(problem), "{seen}");
        assert!(
            seen.contains(&format!("oam workspace get {name} FILE")),
            "{seen}"
        );
    }
    let (code, seen) = mesh.oam_in_terminal(&["workspace", "get", "txt", "-"]);
    assert_eq!(code, 5, "{seen}");
    assert!(seen.contains("oam workspace get text -"), "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminal_shows_progress() {
    let mesh = TestMesh::start([]).await;
    std::fs::write(path(&mesh, "a.bin"), binary_content(LARGE_BYTES)).unwrap();
    let (code, seen) = mesh.oam_in_terminal(&["workspace", "put", "a", "a.bin"]);
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains("Putting a"), "{seen}");
    assert!(seen.contains("/4.77 MiB"), "{seen}");
    let (code, seen) = mesh.oam_in_terminal(&["workspace", "get", "a", "b.bin"]);
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains("Getting a"), "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_pipe_is_no_error() {
    let mesh = TestMesh::start([]).await;
    mesh.client
        .workspace()
        .put("a", binary_content(LARGE_BYTES))
        .await
        .unwrap();
    let mut running = mesh.start_oam(&["workspace", "get", "a"]);
    running.first_byte().await;
    running.close_stdout();
    let (status, stderr) = running.end().await;
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}
