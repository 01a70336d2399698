//! `oam workspace`: put, info, list and delete, and the errors of all commands.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::TestMesh;
use crate::support::workspace::{LARGE_BYTES, binary_content, path};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn piped_bytes_are_unchanged() {
    let mesh = TestMesh::start([]).await;
    for (put, get, length) in [
        (
            &["workspace", "put", "piped"][..],
            &["workspace", "get", "piped"][..],
            LARGE_BYTES,
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
        let content = binary_content(length);
        let output = mesh.oam_with_bytes(put, &content);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{put:?}");
        let output = mesh.oam_with_bytes(get, b"");
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{get:?}");
        assert!(output.stdout == content, "{length} bytes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_is_put_and_replaces_the_destination() {
    let mesh = TestMesh::start([]).await;
    let content = binary_content(LARGE_BYTES);
    std::fs::write(path(&mesh, "here.bin"), &content).unwrap();
    let output = mesh.oam(&["workspace", "put", "reports/a.bin", "here.bin"]);
    assert_eq!(
        (output.code, output.stdout.as_str(), output.stderr.as_str()),
        (0, "put reports/a.bin, 4.77 MiB\n", "")
    );

    std::fs::write(path(&mesh, "old.bin"), "replaced").unwrap();
    std::os::unix::fs::symlink("old.bin", path(&mesh, "link.bin")).unwrap();
    for (to, in_file) in [
        ("new.bin", "new.bin"),
        ("new.bin", "new.bin"),
        ("link.bin", "old.bin"),
    ] {
        let output = mesh.oam(&["workspace", "get", "reports/a.bin", to]);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""));
        assert!(
            output
                .stdout
                .starts_with("got reports/a.bin, 4.77 MiB, into ")
        );
        assert!(std::fs::read(path(&mesh, in_file)).unwrap() == content);
    }
    assert!(path(&mesh, "link.bin").is_symlink());

    let output = mesh.oam(&["workspace", "get", "reports/a.bin", "/dev/null"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(!PathBuf::from("/dev/null").is_file());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_is_described_listed_and_deleted() {
    let mesh = TestMesh::start([]).await;
    let output = mesh.oam(&["workspace", "list"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, ""));
    assert!(
        output.stderr.contains("no files in the workspace"),
        "{output:?}"
    );
    assert_eq!(mesh.oam(&["workspace", "list", "--json"]).stdout, "[]\n");

    let put = |name: &str, content: &str, more: &[&str]| {
        let output = mesh.oam_with_stdin(&[&["workspace", "put", name], more].concat(), content);
        assert_eq!(output.code, 0, "{output:?}");
        output
    };
    put("reports/a.txt", "abc", &["--content-type", "text/plain"]);
    put("reports/b\u{1b}[31m", &"abc".repeat(1000), &[]);
    let output = put(
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
    let put: Value = serde_json::from_str(&output.stdout).unwrap();
    let output = mesh.oam(&["workspace", "info", "notes", "--json"]);
    let mut info: Value = serde_json::from_str(&output.stdout).unwrap();
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

    let output = mesh.oam(&["workspace", "info", "notes"]);
    insta::assert_snapshot!(without_times(&output.stdout), @r"
    notes
    What was
    said

    Size          3 bytes
    Modified      YYYY-MM-DD TT:TT:TTZ
    SHA-256       ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
    Metadata      a = b=c
    Metadata      author = ada
    ");
    let output = mesh.oam(&["workspace", "list"]);
    insta::assert_snapshot!(without_times(&output.stdout), @r"
    NAME                 SIZE      MODIFIED              TYPE
    notes                3 B       YYYY-MM-DD TT:TT:TTZ  -
    reports/a.txt        3 B       YYYY-MM-DD TT:TT:TTZ  text/plain
    reports/b\u{1b}[31m  2.93 KiB  YYYY-MM-DD TT:TT:TTZ  -
    ");
    let output = mesh.oam(&["workspace", "list", "rep", "--json"]);
    let listed: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(listed[0]["name"], "reports/a.txt");
    assert_eq!(listed[0]["content_type"], "text/plain");
    assert_eq!(listed.as_array().unwrap().len(), 2);

    let output = mesh.oam(&["workspace", "delete", "notes"]);
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (0, "deleted notes\n")
    );
    let output = mesh.oam(&["workspace", "delete", "notes"]);
    assert_eq!(output.code, 5);
    let output = mesh.oam(&["workspace", "delete", "--prefix", "reports/"]);
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (0, "deleted 2 files\n")
    );
    let output = mesh.oam(&["workspace", "list", "reports/"]);
    assert_eq!(
        output.stderr,
        "no file in the workspace starts with 'reports/'\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_command_reports_code_and_hint() {
    let mesh = TestMesh::start([]).await;
    std::fs::create_dir(path(&mesh, "directory")).unwrap();
    for (arguments, code, fragments) in [
        (
            &["workspace", "get", "nosuch"][..],
            5,
            &[
                "error[not_found]: file 'nosuch' not found",
                "  hint: oam workspace list",
            ][..],
        ),
        (&["workspace", "get", "nosuch", "new"], 5, &["[not_found]"]),
        (&["workspace", "info", "nosuch"], 5, &["[not_found]"]),
        (&["workspace", "delete", "nosuch"], 5, &["[not_found]"]),
        (
            &["workspace", "delete", "--prefix", ""],
            2,
            &["an empty prefix would delete every file"],
        ),
        (&["workspace", "delete"], 2, &["<NAME|--prefix <PREFIX>>"]),
        (
            &["workspace", "delete", "a", "--prefix", "b"],
            2,
            &["cannot be used with"],
        ),
        (
            &["workspace", "put", "a", "nosuch.txt"],
            2,
            &["cannot read nosuch.txt: No such file"],
        ),
        (
            &["workspace", "put", "a", "directory"],
            2,
            &["directory is a directory"],
        ),
        (
            &["workspace", "put", ""],
            2,
            &["error[invalid_input]", "''", "empty"],
        ),
        (
            &["workspace", "put", "a", "--metadata", "b"],
            2,
            &["write KEY=VALUE"],
        ),
        (
            &["workspace", "get", "a", "directory"],
            2,
            &["name a file in it: directory/FILE"],
        ),
        (
            &["workspace", "get", "a", "missing/b"],
            2,
            &["directory missing not found", "mkdir -p missing"],
        ),
    ] {
        mesh.oam(arguments)
            .assert_failure(arguments, code, fragments);
    }
    assert!(!path(&mesh, "new").exists());
    #[cfg(target_os = "linux")]
    {
        mesh.client.workspace().put("a", "abc").await.unwrap();
        let command = ["workspace", "get", "a", "/dev/full"];
        mesh.oam(&command)
            .assert_failure(&command, 1, &["cannot write /dev/full: No space"]);
    }
}

/// Replaces every date and time by a placeholder.
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
