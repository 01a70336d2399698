//! Stdin: read only for an input, within the timeout, in the encodings that tools write.

use std::io::Write;
use std::process::Stdio;

use futures::{Stream, stream};
use openagentmesh::{agent, agents};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::{CommandOutput, TestMesh, within_deadline};

const NOTE: &str = "waiting for the end of stdin";

/// Echoes a message back.
#[agent]
async fn echo(message: String) -> String {
    format!("Echo: {message}")
}

/// Returns the time.
#[agent]
async fn clock() -> String {
    "12:00".to_owned()
}

/// Publishes the hours.
#[agent]
fn hours() -> impl Stream<Item = u32> {
    stream::pending()
}

/// Never gives a chunk.
#[agent]
fn silent(_input: u32) -> impl Stream<Item = u32> {
    stream::pending()
}

async fn start_mesh() -> TestMesh {
    TestMesh::start(agents![echo, clock, hours, silent]).await
}

/// Starts a command whose stdin stays open.
fn start(mesh: &TestMesh, arguments: &[&str]) -> Child {
    let arguments = [arguments, &["--url", &mesh.url]].concat();
    let mut command = mesh.sandbox.command(&arguments);
    command.stdin(Stdio::piped());
    Command::from(command).kill_on_drop(true).spawn().unwrap()
}

/// Waits for the end of a command, and keeps its stdin open until then.
async fn end(mut child: Child) -> CommandOutput {
    let stdin = child.stdin.take();
    let output = within_deadline("end of the command", child.wait_with_output()).await;
    drop(stdin);
    output.unwrap().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stdin_is_left_alone_without_an_input() {
    let mesh = start_mesh().await;
    let output = end(start(&mesh, &["agent", "call", "clock"])).await;
    assert_eq!((output.code, output.stdout.as_str()), (0, "\"12:00\"\n"));
    assert_eq!(output.stderr, "");
    for (arguments, code, exit_code) in [
        (&["agent", "call", "nosuch"][..], "not_found", 5),
        (&["agent", "stream", "nosuch"], "not_found", 5),
        (&["agent", "call", "hours"], "invocation_mismatch", 1),
        (&["agent", "stream", "clock"], "invocation_mismatch", 1),
    ] {
        let output = end(start(&mesh, arguments)).await;
        assert_eq!(output.code, exit_code, "{arguments:?}: {output:?}");
        let expected = format!("error[{code}]");
        assert!(output.stderr.starts_with(&expected), "{output:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_of_a_shell_loop_is_kept() {
    let mesh = start_mesh().await;
    let script = "while read -r name; do \"$0\" agent call \"$name\"; done";
    let mut command = mesh.sandbox.program("sh");
    command
        .args(["-c", script, env!("CARGO_BIN_EXE_oam")])
        .env("OAM_URL", &mesh.url)
        .stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut list = child.stdin.take().unwrap();
    list.write_all(b"clock\nnosuch\nclock\nclock\n").unwrap();
    drop(list);
    let output: CommandOutput = child.wait_with_output().unwrap().into();
    assert_eq!(output.stdout, "\"12:00\"\n".repeat(3), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timeout_covers_reading_stdin() {
    let mesh = start_mesh().await;
    for arguments in [
        &["agent", "call", "echo", "--timeout", "3"][..],
        &["agent", "call", "echo", "-", "--timeout", "3"],
        &["agent", "call", "clock", "-", "--timeout", "3"],
    ] {
        let output = end(start(&mesh, arguments)).await;
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (124, ""),
            "{output:?}"
        );
        for expected in [
            NOTE,
            "error[timeout]: stdin did not end within 3s",
            "--timeout",
        ] {
            assert!(
                output.stderr.contains(expected),
                "{arguments:?}: {output:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wait_for_stdin_is_reported_after_a_second() {
    let mesh = start_mesh().await;
    for (arguments, expected) in [
        (&["agent", "call", "echo"][..], "\"Echo: late\"\n"),
        (&["kv", "put", "late"], "put late, revision 1\n"),
        (&["kv", "create", "later"], "put later, revision 2\n"),
        (&["workspace", "put", "late"], "put late, 6 B\n"),
    ] {
        let mut child = start(&mesh, arguments);
        let mut stdin = child.stdin.take().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let note = within_deadline("note", stderr.next_line()).await;
        let note = note.unwrap().unwrap();
        assert!(note.starts_with(NOTE), "{arguments:?}: {note}");
        stdin.write_all(b"\"late\"").await.unwrap();
        drop(stdin);
        let output: CommandOutput = within_deadline("end", child.wait_with_output())
            .await
            .unwrap()
            .into();
        assert_eq!((output.code, output.stdout.as_str()), (0, expected));
    }
    // An input that arrives at once is not reported.
    let output = mesh.oam_with_stdin(&["agent", "call", "echo"], "\"now\"");
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_command_fails_within_its_whole_timeout() {
    let mesh = start_mesh().await;
    let output = mesh.oam_with_stdin(&["agent", "stream", "silent", "--timeout", "1"], "1");
    assert_eq!(output.code, 124, "{output:?}");
    assert!(output.stderr.contains("error[timeout]"), "{output:?}");
    assert!(output.stderr.contains("within 1s"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn input_of_windows_tools_is_understood() {
    let mesh = start_mesh().await;
    let call = ["agent", "call", "echo"];
    for input in ["\u{feff}\"a\"", "\u{feff}\"a\"\r\n", "\r\n\"a\"\r\n"] {
        for arguments in [&call[..], &["agent", "call", "echo", "-"]] {
            let output = mesh.oam_with_stdin(arguments, input);
            assert_eq!((output.code, output.stdout.as_str()), (0, "\"Echo: a\"\n"));
        }
        let output = mesh.oam(&["agent", "call", "echo", input]);
        assert_eq!((output.code, output.stdout.as_str()), (0, "\"Echo: a\"\n"));
    }
    for (input, fragment) in [
        (&b"\xff\xfe\"\0a\0\"\0"[..], "UTF-16"),
        (b"\xfe\xff\0\"\0a\0\"", "UTF-16"),
        (b"\"\0a\0\"\0", "UTF-16"),
        (b"\"\xe4\"", "byte 2 of stdin is not UTF-8"),
        (b"a", "text needs double quotes"),
    ] {
        let output = mesh.oam_with_bytes(&call, input);
        assert_eq!(output.code, 2, "{}", output.stderr);
        assert!(output.stderr.contains(fragment), "{}", output.stderr);
    }
    // A stored value keeps every byte.
    let value = "\u{feff}a\r\n".as_bytes();
    assert_eq!(mesh.oam_with_bytes(&["kv", "put", "mark"], value).code, 0);
    let output = mesh.oam_with_bytes(&["kv", "get", "mark"], b"");
    assert_eq!(output.stdout, value);
}
