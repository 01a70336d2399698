//! `oam agent call --edit`: the input in the editor of the user.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use openagentmesh::{agent, agents};

use crate::support::{CommandOutput, Running, TestMesh};

/// Echoes a message back.
#[agent]
async fn echo(message: String) -> String {
    message
}

/// Always fails.
#[agent]
async fn broken(_input: String) -> Result<u32, std::io::Error> {
    Err(std::io::Error::other("the disk is full"))
}

/// Returns the time.
#[agent]
async fn clock() -> String {
    "12:00".to_owned()
}

async fn start_mesh() -> TestMesh {
    let mesh = TestMesh::start(agents![echo, broken, clock]).await;
    std::fs::create_dir(temporary(&mesh)).unwrap();
    mesh
}

/// The directory for temporary files.
fn temporary(mesh: &TestMesh) -> PathBuf {
    mesh.sandbox.work().join("tmp")
}

/// Runs a command whose editor is a shell script. `$1` is the file.
fn edit(mesh: &TestMesh, arguments: &[&str], script: &str) -> CommandOutput {
    command(mesh, arguments, script).output().unwrap().into()
}

fn command(mesh: &TestMesh, arguments: &[&str], script: &str) -> Command {
    let editor = mesh.sandbox.work().join("editor with spaces");
    std::fs::write(&editor, format!("{script}\n")).unwrap();
    let mut command = mesh.sandbox.command(arguments);
    command
        .env("EDITOR", format!("sh '{}'", editor.display()))
        .env_remove("VISUAL")
        .env("TMPDIR", temporary(mesh))
        .env("OAM_URL", &mesh.url);
    command
}

fn kept(mesh: &TestMesh) -> Vec<PathBuf> {
    let files = std::fs::read_dir(temporary(mesh)).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edited_input_is_sent_and_its_file_removed() {
    let mesh = start_mesh().await;
    let call = ["agent", "call", "echo", "--edit", "\"abc\""];
    let script = "stat -c %a \"$1\" > mode; cp \"$1\" seen; echo '\"edited\"' > \"$1\"";
    let output = edit(&mesh, &call, script);
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (0, "\"edited\"\n"),
        "{output:?}"
    );
    let read = |name| std::fs::read_to_string(mesh.sandbox.work().join(name)).unwrap();
    assert_eq!(
        (read("mode").as_str(), read("seen").as_str()),
        ("600\n", "\"abc\"\n")
    );
    assert_eq!(kept(&mesh), Vec::<PathBuf>::new());
    // Without an input, the editor starts with an example.
    let output = edit(
        &mesh,
        &["agent", "call", "echo", "-e"],
        "echo '\"new\"' > \"$1\"",
    );
    assert_eq!(output.stdout, "\"new\"\n", "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unchanged_or_empty_input_cancels() {
    let mesh = start_mesh().await;
    let call = ["agent", "call", "echo", "\"abc\"", "--edit"];
    for (script, fragment) in [
        (
            "true",
            "cancelled: the input is unchanged; nothing was sent",
        ),
        ("echo >> \"$1\"", "unchanged"),
        (
            ": > \"$1\"",
            "cancelled: the input is empty; nothing was sent",
        ),
        ("exit 3", "failed: exit status: 3"),
    ] {
        edit(&mesh, &call, script).assert_failure(&call, 1, &[fragment]);
        assert_eq!(kept(&mesh), Vec::<PathBuf>::new(), "{script}");
    }
    let none = ["agent", "call", "clock", "--edit"];
    edit(&mesh, &none, "true").assert_failure(&none, 2, &["agent 'clock' takes no input"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edited_input_of_a_failed_command_is_kept() {
    let mesh = start_mesh().await;
    for (agent, script, code, fragment) in [
        ("echo", "echo '\"half' > \"$1\"", 2, "invalid JSON input"),
        ("echo", "echo 5 > \"$1\"", 2, "5 is not of type"),
        ("echo", "printf '\\377\\376' > \"$1\"", 2, "UTF-16"),
        (
            "echo",
            "echo '\"x\"' > \"$1\"; exit 1",
            1,
            "failed: exit status: 1",
        ),
        (
            "broken",
            "echo '\"x\"' > \"$1\"",
            1,
            "error[handler_error]: the disk is full",
        ),
    ] {
        let call = ["agent", "call", agent, "\"abc\"", "--edit"];
        let output = edit(&mesh, &call, script);
        output.assert_failure(&call, code, &[fragment, "the edited input is kept in "]);
        let files = kept(&mesh);
        let [file] = files.as_slice() else {
            panic!("{script}: {files:?}");
        };
        assert!(
            output.stderr.contains(&*file.to_string_lossy()),
            "{output:?}"
        );
        assert!(Path::new(file).metadata().unwrap().len() > 0);
        std::fs::remove_file(file).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_the_command_and_keeps_the_input() {
    let mesh = start_mesh().await;
    let call = ["agent", "call", "echo", "\"abc\"", "--edit"];
    let script = "echo '\"half\"' > \"$1\"; echo open; until [ -e closed ]; do sleep 0.05; done";
    let mut command = command(&mesh, &call, script);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::start(command);
    assert_eq!(running.line().await.as_deref(), Some("open"));
    running.signal("-TERM");
    running
        .error_line("interrupted: SIGTERM arrived while the editor was open; nothing was sent; the edited input is kept in ")
        .await;
    std::fs::write(mesh.sandbox.work().join("closed"), "").unwrap();
    let (status, _) = running.end().await;
    assert_eq!(status.code(), Some(130));
    let [file] = kept(&mesh).try_into().unwrap();
    assert_eq!(std::fs::read_to_string(file).unwrap(), "\"half\"\n");
}
