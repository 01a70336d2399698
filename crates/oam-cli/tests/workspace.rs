//! `oam workspace`: files that everybody on the mesh shares.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use common::{Running, Served, in_time};
use serde_json::{Value, json};

/// More than a message carries, and no UTF-8.
const LARGE: usize = 5_000_000;
/// How large the pieces are that a file is stored in.
const CHUNK: usize = 128 * 1024;

fn any_bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * i / 7 % 256) as u8).collect()
}

/// A file in the directory in which commands are typed.
fn file(served: &Served, name: &str) -> PathBuf {
    served.sandbox.work().join(name)
}

/// The stream under the workspace, as others see it.
async fn stream(served: &Served) -> async_nats::jetstream::stream::Stream {
    let raw = async_nats::connect(&served.url).await.unwrap();
    let jetstream = async_nats::jetstream::new(raw);
    jetstream.get_stream("OBJ_mesh-artifacts").await.unwrap()
}

/// Waits until the workspace has so many messages: one for each description and for each chunk.
async fn until_stored(served: &Served, expected: u64) {
    let stream = stream(served).await;
    in_time("the stored messages", async {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        while stream.get_info().await.unwrap().state.messages != expected {
            pace.tick().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_pass_through_pipes_as_they_are() {
    let served = Served::start([]).await;
    for (put, get, length) in [
        (
            &["workspace", "put", "piped"][..],
            &["workspace", "get", "piped"][..],
            LARGE,
        ),
        (
            &["workspace", "put", "piped", "-"],
            &["workspace", "get", "piped", "-"],
            3,
        ),
        (
            &["workspace", "put", "piped"],
            &["workspace", "get", "piped"],
            0,
        ),
    ] {
        let content = any_bytes(length);
        let ran = served.oam_with_bytes(put, &content);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{put:?}");
        let ran = served.oam_with_bytes(get, b"");
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{get:?}");
        assert!(ran.stdout == content, "{length} bytes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_put_and_replaced() {
    let served = Served::start([]).await;
    let content = any_bytes(LARGE);
    std::fs::write(file(&served, "here.bin"), &content).unwrap();
    let ran = served.oam(&["workspace", "put", "reports/a.bin", "here.bin"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (0, "put reports/a.bin, 4.77 MiB\n", "")
    );

    std::fs::write(file(&served, "old.bin"), "replaced").unwrap();
    std::os::unix::fs::symlink("old.bin", file(&served, "link.bin")).unwrap();
    for (to, in_file) in [
        ("new.bin", "new.bin"),
        ("new.bin", "new.bin"),
        ("link.bin", "old.bin"),
    ] {
        let ran = served.oam(&["workspace", "get", "reports/a.bin", to]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert!(ran.stdout.starts_with("got reports/a.bin, 4.77 MiB, into "));
        assert!(std::fs::read(file(&served, in_file)).unwrap() == content);
    }
    assert!(file(&served, "link.bin").is_symlink());

    let ran = served.oam(&["workspace", "get", "reports/a.bin", "/dev/null"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!PathBuf::from("/dev/null").is_file());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_described_listed_and_deleted() {
    let served = Served::start([]).await;
    let ran = served.oam(&["workspace", "list"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert!(ran.stderr.contains("no files in the workspace"), "{ran:?}");
    assert_eq!(served.oam(&["workspace", "list", "--json"]).stdout, "[]\n");

    let put = |name: &str, content: &str, more: &[&str]| {
        let ran = served.oam_with_stdin(&[&["workspace", "put", name], more].concat(), content);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran
    };
    put("reports/a.txt", "abc", &["--content-type", "text/plain"]);
    put("reports/b\u{1b}[31m", &"abc".repeat(1000), &[]);
    let ran = put(
        "notes",
        "abc",
        &[
            "--description",
            "What was\nsaid",
            "--metadata",
            "author=ada",
            "--metadata",
            "a=b=c",
            "--json",
        ],
    );
    let put: Value = serde_json::from_str(&ran.stdout).unwrap();
    let ran = served.oam(&["workspace", "info", "notes", "--json"]);
    let mut info: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(info["modified"].take().is_string());
    assert_eq!(
        info,
        json!({
            "name": "notes",
            "size": 3,
            "modified": null,
            "description": "What was\nsaid",
            "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "metadata": {"author": "ada", "a": "b=c"},
        })
    );
    assert_eq!(put["sha256"], info["sha256"]);

    let ran = served.oam(&["workspace", "info", "notes"]);
    insta::assert_snapshot!(without_times(&ran.stdout), @r"
    notes
    What was
    said

    Size          3 bytes
    Modified      YYYY-MM-DD TT:TT:TTZ
    SHA-256       ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
    Metadata      a = b=c
    Metadata      author = ada
    ");
    let ran = served.oam(&["workspace", "list"]);
    insta::assert_snapshot!(without_times(&ran.stdout), @r"
    NAME                 SIZE      MODIFIED              TYPE
    notes                3 B       YYYY-MM-DD TT:TT:TTZ  -
    reports/a.txt        3 B       YYYY-MM-DD TT:TT:TTZ  text/plain
    reports/b\u{1b}[31m  2.93 KiB  YYYY-MM-DD TT:TT:TTZ  -
    ");
    let ran = served.oam(&["workspace", "list", "rep", "--json"]);
    let listed: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(listed[0]["name"], "reports/a.txt");
    assert_eq!(listed[0]["content_type"], "text/plain");
    assert_eq!(listed.as_array().unwrap().len(), 2);

    let ran = served.oam(&["workspace", "delete", "notes"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "deleted notes\n"));
    let ran = served.oam(&["workspace", "delete", "notes"]);
    assert_eq!(ran.code, 1);
    let ran = served.oam(&["workspace", "delete", "--prefix", "reports/"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "deleted 2 files\n"));
    let ran = served.oam(&["workspace", "list", "reports/"]);
    assert_eq!(
        ran.stderr,
        "no file in the workspace begins with 'reports/'\n"
    );
}

/// Every time as the same time.
fn without_times(text: &str) -> String {
    let is_time = |word: &str| word.len() == 9 && word.matches(':').count() == 2;
    let is_date = |word: &str| word.len() == 10 && word.matches('-').count() == 2;
    let words = text.split_inclusive(char::is_whitespace).map(|word| {
        let (bare, space) = word.split_at(word.trim_end().len());
        match bare {
            time if is_time(time) => format!("TT:TT:TTZ{space}"),
            date if is_date(date) => format!("YYYY-MM-DD{space}"),
            _ => word.to_owned(),
        }
    });
    words.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_failure_says_what_to_do() {
    let served = Served::start([]).await;
    std::fs::create_dir(file(&served, "directory")).unwrap();
    for (arguments, code, expected) in [
        (
            &["workspace", "get", "nosuch"][..],
            1,
            "error[not_found]: there is no file 'nosuch' in the workspace\n  hint: oam workspace list",
        ),
        (&["workspace", "get", "nosuch", "new"], 1, "[not_found]"),
        (&["workspace", "info", "nosuch"], 1, "[not_found]"),
        (&["workspace", "delete", "nosuch"], 1, "[not_found]"),
        (
            &["workspace", "delete", "--prefix", ""],
            2,
            "an empty prefix would delete every file",
        ),
        (&["workspace", "delete"], 2, "<NAME|--prefix <PREFIX>>"),
        (
            &["workspace", "delete", "a", "--prefix", "b"],
            2,
            "cannot be used with",
        ),
        (
            &["workspace", "put", "a", "nosuch.txt"],
            2,
            "nosuch.txt cannot be read: No such file",
        ),
        (
            &["workspace", "put", "a", "directory"],
            2,
            "directory is a directory",
        ),
        (
            &["workspace", "put", ""],
            2,
            "invalid file name '': must not be empty",
        ),
        (
            &["workspace", "put", "a", "--metadata", "b"],
            2,
            "write KEY=VALUE",
        ),
        (
            &["workspace", "get", "a", "directory"],
            2,
            "name the file in it: directory/FILE",
        ),
        (
            &["workspace", "get", "a", "missing/b"],
            2,
            "mkdir -p missing",
        ),
    ] {
        let ran = served.oam(arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(expected), "{arguments:?}: {ran:?}");
        assert_eq!(ran.stdout, "", "{arguments:?}");
    }
    assert!(!file(&served, "new").exists());
    #[cfg(target_os = "linux")]
    {
        served.mesh.workspace().put("a", "abc").await.unwrap();
        let ran = served.oam(&["workspace", "get", "a", "/dev/full"]);
        assert_eq!(ran.code, 1);
        assert!(
            ran.stderr.contains("/dev/full cannot be written: No space"),
            "{ran:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_damaged_replaces_nothing() {
    let served = Served::start([]).await;
    let files = served.mesh.workspace();
    files.put("a", any_bytes(LARGE)).await.unwrap();
    std::fs::write(file(&served, "a"), "as it was").unwrap();
    let chunks = "$O.mesh-artifacts.C.>";
    stream(&served)
        .await
        .purge()
        .filter(chunks)
        .keep(2)
        .await
        .unwrap();
    let ran = served.oam(&["workspace", "get", "a", "a"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("error[digest_mismatch]") && ran.stderr.contains("hint: get it again"),
        "{ran:?}"
    );
    assert_eq!(std::fs::read(file(&served, "a")).unwrap(), b"as it was");
    let left: Vec<_> = std::fs::read_dir(served.sandbox.work()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_terminal_a_file_of_the_same_name_is_made_but_not_replaced() {
    let served = Served::start([]).await;
    let files = served.mesh.workspace();
    files.put("reports/a.txt", "first").await.unwrap();
    let path = file(&served, "a.txt");
    let (code, seen) = served.oam_in_terminal(&["workspace", "get", "reports/a.txt"]);
    assert_eq!(code, 0, "{seen}");
    assert!(
        seen.ends_with("got reports/a.txt, 5 B, into a.txt\n"),
        "{seen}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"first");

    files.put("reports/a.txt", "second").await.unwrap();
    let (code, seen) = served.oam_in_terminal(&["workspace", "get", "reports/a.txt"]);
    assert_eq!(code, 1, "{seen}");
    assert!(seen.contains("a.txt is there already"), "{seen}");
    assert!(seen.contains("--force replaces it"), "{seen}");
    assert_eq!(std::fs::read(&path).unwrap(), b"first");
    let (code, seen) = served.oam_in_terminal(&["workspace", "get", "reports/a.txt", "--force"]);
    assert_eq!(code, 0, "{seen}");
    assert_eq!(std::fs::read(&path).unwrap(), b"second");

    let (code, seen) = served.oam_in_terminal(&["workspace", "get", "reports/a.txt", "-"]);
    assert_eq!((code, seen.as_str()), (0, "second"));
    let (code, seen) = served.oam_in_terminal(&["workspace", "get", "reports/.."]);
    assert_eq!(code, 2, "{seen}");
    assert!(seen.contains("can be called like 'reports/..'"), "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_shows_how_far_a_file_has_come() {
    let served = Served::start([]).await;
    std::fs::write(file(&served, "a.bin"), any_bytes(LARGE)).unwrap();
    let (code, seen) = served.oam_in_terminal(&["workspace", "put", "a", "a.bin"]);
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains("Putting a"), "{seen}");
    assert!(seen.contains("/4.77 MiB"), "{seen}");
    let (code, seen) = served.oam_in_terminal(&["workspace", "get", "a", "b.bin"]);
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains("Getting a"), "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_has_enough_is_no_error() {
    let served = Served::start([]).await;
    served
        .mesh
        .workspace()
        .put("a", any_bytes(LARGE))
        .await
        .unwrap();
    let mut running = served.start_oam(&["workspace", "get", "a"]);
    running.first_byte().await;
    running.stop_reading();
    let (status, stderr) = running.end().await;
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_is_heeded_while_nobody_reads() {
    let served = Served::start([]).await;
    served
        .mesh
        .workspace()
        .put("a", any_bytes(LARGE))
        .await
        .unwrap();
    let mut running = served.start_oam(&["workspace", "get", "a"]);
    running.first_byte().await;
    running.signal("-INT");
    let (status, stderr) = running.end().await;
    assert_eq!((status.code(), stderr.as_str()), (Some(130), ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_given_up_leaves_nothing_behind() {
    let served = Served::start([]).await;
    // Makes the bucket.
    served.mesh.workspace().put("a", "before").await.unwrap();
    until_stored(&served, 2).await;
    let mut command = served
        .sandbox
        .command(&["workspace", "put", "a", "--url", &served.url]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    command.stdin(Stdio::from(reader));
    let mut running = Running::start(command);
    writer.write_all(&any_bytes(LARGE)).unwrap();
    // Each full chunk. More may follow: nobody knows that the file is over.
    until_stored(&served, 2 + (LARGE / CHUNK) as u64).await;
    running.signal("-INT");
    let (status, stderr) = running.end().await;
    assert_eq!((status.code(), stderr.as_str()), (Some(130), ""));
    drop(writer);
    until_stored(&served, 2).await;
    let before = served.mesh.workspace().get("a").await.unwrap();
    assert_eq!(&before[..], b"before");
}
