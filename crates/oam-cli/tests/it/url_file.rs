//! The `.oam-url` that commands read: its encodings, its owner, and its credentials.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use openagentmesh::agents;

use crate::support::{CommandOutput, Sandbox, TestMesh};

fn write(sandbox: &Sandbox, content: impl AsRef<[u8]>) {
    std::fs::write(sandbox.work().join(".oam-url"), content).unwrap();
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs a command in a directory below that of the sandbox.
fn oam_below(sandbox: &Sandbox, arguments: &[&str]) -> CommandOutput {
    let below = sandbox.work().join("below");
    std::fs::create_dir_all(&below).unwrap();
    let mut command = sandbox.command(arguments);
    command.current_dir(below).output().unwrap().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_of_windows_tools_is_understood() {
    let mesh = TestMesh::start(agents![]).await;
    let url = &mesh.url;
    for text in [
        format!("\u{feff}{url}"),
        format!("{url}\r\n"),
        format!("# the mesh of this project\n\n{url}\n"),
        format!("\u{feff}# the mesh\r\n{url} # for tests\r\n"),
        format!("\u{feff}# the mesh\r\nurl = \"{url}\" # for tests\r\n"),
    ] {
        write(&mesh.sandbox, &text);
        let output = mesh.sandbox.oam(&["mesh", "catalog"]);
        assert_eq!(output.code, 0, "{text:?}: {output:?}");
        assert!(output.stderr.contains(url), "{output:?}");
    }
    let utf16: Vec<u8> = format!("\u{feff}{url}\r\n")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    write(&mesh.sandbox, utf16);
    let command = ["mesh", "catalog"];
    let output = mesh.sandbox.oam(&command);
    output.assert_failure(
        &command,
        2,
        &["error[configuration]", "it is UTF-16, not UTF-8"],
    );
    std::fs::remove_file(mesh.sandbox.work().join(".oam-url")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_that_others_can_write_is_passed_over_with_a_note() {
    let mesh = TestMesh::start(agents![]).await;
    let sandbox = &mesh.sandbox;
    let file = sandbox.work().join(".oam-url");
    // An address at which nothing listens: a value must not be sent there.
    write(sandbox, "nats://127.0.0.9:9\n");
    let put = ["kv", "put", "secret", "1", "--url", &mesh.url];
    let named = oam_below(sandbox, &["mesh", "catalog"]);
    assert!(named.stderr.contains("127.0.0.9:9"), "{named:?}");

    set_mode(sandbox.work(), 0o777);
    let output = oam_below(sandbox, &["mesh", "catalog"]);
    assert!(!output.stderr.contains("127.0.0.9:9"), "{output:?}");
    let note = format!("passed over {}: ", file.canonicalize().unwrap().display());
    assert!(output.stderr.contains(&note), "{output:?}");
    assert!(output.stderr.contains("writable by all"), "{output:?}");
    let output = oam_below(sandbox, &put);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output:?}");
    let output = sandbox.oam(&["mesh", "connect", &mesh.url]);
    let notes = output.stderr.matches("passed over").count();
    assert_eq!((output.code, notes), (0, 1), "{output:?}");
    write(sandbox, "nats://127.0.0.9:9\n");

    set_mode(sandbox.work(), 0o1777);
    let output = oam_below(sandbox, &["mesh", "catalog"]);
    assert!(
        output.stderr.contains("127.0.0.9:9"),
        "a sticky directory: {output:?}"
    );

    set_mode(sandbox.work(), 0o755);
    // Only root can give files away.
    if chown(&file, Some(12_345), None).is_ok() {
        let output = oam_below(sandbox, &["mesh", "catalog"]);
        assert!(!output.stderr.contains("127.0.0.9:9"), "{output:?}");
        assert!(
            output.stderr.contains("owned by another user, 12345"),
            "{output:?}"
        );
        let down = oam_below(sandbox, &["mesh", "down"]);
        assert!(down.stdout.contains("nothing to stop"), "{down:?}");
        assert!(file.is_file());
    }
    std::fs::remove_file(file).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_of_the_file_are_used_for_the_same_url() {
    let mesh = TestMesh::start(agents![]).await;
    let sandbox = &mesh.sandbox;
    write(
        sandbox,
        format!("url = \"{}\"\ncreds = \"nosuch.creds\"\n", mesh.url),
    );
    let same = mesh.url.replace("nats://", "");
    for url in [&mesh.url, &same] {
        let output = sandbox.oam(&["mesh", "catalog", "--url", url]);
        assert_eq!(output.code, 2, "{output:?}");
        assert!(output.stderr.contains("nosuch.creds"), "{output:?}");
        let mut command = sandbox.command(&["mesh", "catalog"]);
        let output: CommandOutput = command.env("OAM_URL", url).output().unwrap().into();
        assert!(output.stderr.contains("nosuch.creds"), "{output:?}");
    }
    let other = mesh.url.replace("127.0.0.1", "localhost");
    let output = sandbox.oam(&["mesh", "catalog", "--url", &other]);
    assert_eq!(output.code, 0, "{output:?}");
    std::fs::remove_file(sandbox.work().join(".oam-url")).unwrap();
}
