//! A result that cannot be written fails its command, and a failed command stays one.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::pipe;
use std::process::{Command, Stdio};

use futures::{Stream, stream};
use openagentmesh::{agent, agents};

use crate::support::{
    CommandOutput, Running, Sandbox, TestMesh, commands_in_help, within_deadline,
};

/// Echoes a message back.
#[agent]
async fn echo(message: String) -> String {
    message
}

/// Always fails.
#[agent]
async fn broken() -> Result<u32, std::io::Error> {
    Err(std::io::Error::other("the disk is full"))
}

/// Counts to a number.
#[agent]
fn counter(to: u32) -> impl Stream<Item = u32> {
    stream::iter(0..to)
}

/// Publishes without an end.
#[agent]
fn ticker() -> impl Stream<Item = u32> {
    stream::unfold((), |()| async {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        Some((1, ()))
    })
}

/// The commands with a result on a mesh, in an order in which each succeeds.
pub(crate) const COMMANDS: &[&[&str]] = &[
    &["mesh", "init"],
    &["mesh", "init", "--json"],
    &["mesh", "status"],
    &["mesh", "status", "--json"],
    &["mesh", "monitor"],
    &["mesh", "monitor", "--json"],
    &["mesh", "catalog"],
    &["mesh", "catalog", "--json"],
    &["mesh", "catalog", "--compact"],
    &["mesh", "catalog", "--watch"],
    &["mesh", "catalog", "--watch", "--json"],
    &["mesh", "repair"],
    &["mesh", "repair", "--json"],
    &["mesh", "listen", "mesh.agent.ticker.events"],
    &["mesh", "listen", "mesh.agent.ticker.events", "--json"],
    &["mesh", "publish", "orders.new", "1"],
    &["mesh", "publish", "orders.new", "1", "--json"],
    &["auth", "whoami"],
    &["auth", "whoami", "--json"],
    &["agent", "list"],
    &["agent", "contract", "echo"],
    &["agent", "contract", "echo", "--text"],
    &["agent", "contract", "echo", "--json"],
    &["agent", "contract", "echo", "--format", "openai"],
    &["agent", "contract", "echo", "--format", "anthropic"],
    &["agent", "call", "echo", "\"a\""],
    &["agent", "call", "echo", "\"a\"", "--json"],
    &["agent", "call", "echo", "--example"],
    &["agent", "send", "echo", "\"a\""],
    &["agent", "send", "echo", "\"a\"", "--json"],
    &["agent", "send", "echo", "\"a\"", "--wait"],
    &["agent", "stream", "counter", "3"],
    &["agent", "stream", "counter", "3", "--json"],
    &["agent", "subscribe", "ticker"],
    &["kv", "put", "a", "1"],
    &["kv", "put", "a", "1", "--json"],
    &["tools", "--format", "openai"],
    &["kv", "create", "b", "1"],
    &["kv", "create", "c", "1", "--json"],
    &["kv", "update", "u", "1", "--revision", "0"],
    &["kv", "update", "v", "1", "--revision", "0", "--json"],
    &["kv", "history", "a"],
    &["kv", "history", "a", "--json"],
    &["kv", "get", "a"],
    &["kv", "get", "a", "--json"],
    &["kv", "list"],
    &["kv", "list", "--json"],
    &["kv", "watch"],
    &["kv", "watch", "--json"],
    &["kv", "delete", "a"],
    &["workspace", "put", "f", "f.txt"],
    &["workspace", "put", "f", "f.txt", "--json"],
    &["workspace", "get", "f"],
    &["workspace", "get", "f", "g.txt"],
    &["workspace", "list"],
    &["workspace", "info", "f", "--json"],
    &["workspace", "info", "f"],
    &["workspace", "delete", "f"],
];

/// The commands that need no mesh, or make one.
pub(crate) const LOCAL_COMMANDS: &[&[&str]] = &[
    &["context", "add", "a", "nats://127.0.0.1:1"],
    &["context", "add", "b", "nats://127.0.0.1:2", "--json"],
    &["context", "use", "a"],
    &["context", "list"],
    &["context", "list", "--json"],
    &["context", "show"],
    &["context", "show", "a"],
    &["context", "show", "a", "--json"],
    &["context", "remove", "a"],
    &["auth", "init"],
    &["auth", "init", "--mesh", "other", "--json"],
    &["auth", "user", "add", "a", "--role", "observer"],
    &["auth", "user", "add", "b", "--role", "observer", "--json"],
    &["auth", "user", "list"],
    &["auth", "user", "list", "--json"],
    &["auth", "user", "rotate", "a"],
    &["auth", "user", "rotate", "b", "--json"],
    &["auth", "server-conf"],
    &["auth", "server-conf", "--json"],
    &["auth", "explain", "a"],
    &["auth", "explain", "--role", "monitor", "--json"],
    &["auth", "explain", "--table"],
    &["auth", "user", "revoke", "a"],
    &["auth", "user", "revoke", "b", "--json"],
    &["demo"],
    &["mesh", "up", "--port", "0"],
    &["mesh", "list"],
    &["mesh", "list", "--json"],
    &["mesh", "logs"],
    &["mesh", "logs", "--follow"],
    &["mesh", "logs", "--json"],
    &["mesh", "down"],
    &["completions", "bash"],
    &["man"],
    &["man", "pages"],
    &["version", "--client"],
    &["version", "--client", "--json"],
    &["self", "uninstall", "--yes"],
];

pub(crate) async fn start_mesh() -> TestMesh {
    let mesh = TestMesh::start(agents![echo, broken, counter, ticker]).await;
    std::fs::write(mesh.sandbox.work().join("f.txt"), "abc").unwrap();
    mesh
}

pub(crate) fn full() -> Stdio {
    File::options()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

pub(crate) async fn run(command: Command) -> CommandOutput {
    let child = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    within_deadline("end of the command", child.wait_with_output())
        .await
        .unwrap()
        .into()
}

pub(crate) async fn assert_lost(mut command: Command) {
    command.stdout(full());
    let shown = format!("{command:?}");
    let output = run(command).await;
    assert_eq!(output.code, 1, "{shown}: {output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{shown}: {output:?}");
    let expected = "cannot write the result to stdout: No space left";
    assert!(output.stderr.contains(expected), "{shown}: {output:?}");
    assert!(output.stderr.starts_with("error: ") || output.stderr.starts_with("{\"error\":"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn result_on_a_full_device_is_an_error() {
    let mesh = start_mesh().await;
    for arguments in COMMANDS.iter().copied() {
        let arguments = [arguments, &["--url", &mesh.url]].concat();
        assert_lost(mesh.sandbox.command(&arguments)).await;
    }
    let sandbox = Sandbox::new();
    assert_lost(sandbox.command(&["mesh", "connect", &mesh.url])).await;
    std::fs::remove_file(sandbox.work().join(".oam-url")).unwrap();
    for arguments in LOCAL_COMMANDS {
        assert_lost(sandbox.command(arguments)).await;
    }
    let foreground = ["mesh", "up", "--foreground", "--port", "0"];
    assert_lost(sandbox.command(&foreground)).await;
    assert_eq!(sandbox.url(), None, "the mesh is stopped");
}

/// The kit prints its progress to stderr.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn report_on_conformance_on_a_full_device_is_an_error() {
    let mesh = start_mesh().await;
    for arguments in [
        &["conform", "host", "echo"][..],
        &["conform", "host", "echo", "--json"],
        &["conform", "caller", "--timeout", "1"],
        &["conform", "caller", "--timeout", "1", "--json"],
    ] {
        let arguments = [arguments, &["--url", &mesh.url]].concat();
        let mut command = mesh.sandbox.command(&arguments);
        command.stdout(full());
        let output = run(command).await;
        assert_eq!(output.code, 1, "{arguments:?}: {output:?}");
        let expected = "cannot write the result to stdout: No space left";
        assert!(
            output.stderr.contains(expected),
            "{arguments:?}: {output:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn help_on_a_full_device_is_an_error() {
    let sandbox = Sandbox::new();
    let commands = commands_in_help(&sandbox);
    for words in &commands {
        let words = words.iter().map(String::as_str);
        let arguments: Vec<_> = words.chain(["--help"]).collect();
        assert_lost(sandbox.command(&arguments)).await;
    }
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["help"],
        &["--version"],
        &["help", "kv"],
    ] {
        assert_lost(sandbox.command(arguments)).await;
    }

    let tested = COMMANDS.iter().chain(LOCAL_COMMANDS);
    let tested: BTreeSet<&[&str]> = tested.copied().collect();
    for words in commands {
        let is_tested = tested.iter().any(|tested| {
            tested.len() >= words.len() && words.iter().zip(*tested).all(|(a, b)| a == b)
        });
        let words = words.join(" ");
        assert!(
            is_tested || words == "mesh connect" || words.starts_with("conform "),
            "'{words}' is in no table of commands: add a line to COMMANDS, or to LOCAL_COMMANDS if it needs no mesh"
        );
    }
}

/// The ways in which an output can be lost.
#[derive(Debug, Clone, Copy)]
enum Lost {
    Full,
    ReaderClosed,
    Closed,
}

impl Lost {
    const ALL: [Self; 3] = [Self::Full, Self::ReaderClosed, Self::Closed];

    /// The redirection of a file descriptor.
    fn stdio(self) -> Stdio {
        match self {
            Self::Full => full(),
            Self::ReaderClosed => pipe().unwrap().1.into(),
            Self::Closed => Stdio::piped(),
        }
    }
}

/// `command` with lost outputs. A shell closes a file descriptor; nothing else can.
fn with_lost(
    sandbox: &Sandbox,
    arguments: &[&str],
    stdout: Option<Lost>,
    stderr: Option<Lost>,
) -> Command {
    let close = |lost: Option<Lost>, redirection: &'static str| match lost {
        Some(Lost::Closed) => redirection,
        _ => "",
    };
    let script = format!(
        "exec \"$0\" \"$@\" {} {}",
        close(stdout, ">&-"),
        close(stderr, "2>&-")
    );
    let mut command = sandbox.program("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_oam")]);
    command.args(arguments);
    if let Some(stdout) = stdout {
        command.stdout(stdout.stdio());
    }
    if let Some(stderr) = stderr {
        command.stderr(stderr.stdio());
    }
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_command_fails_whatever_happens_to_its_output() {
    let mesh = start_mesh().await;
    let url = ["--url", &mesh.url];
    for (arguments, code) in [
        (&["agent", "call", "nosuch", "1"][..], 5),
        (&["agent", "call", "broken"], 1),
        (&["agent", "call", "echo", "{"], 2),
        (&["agent", "stream", "counter", "\"a\""], 1),
        (&["agent", "subscribe", "echo"], 1),
        (&["agent", "contract", "nosuch"], 5),
        (&["kv", "get", "nosuch"], 5),
        (&["kv", "put", "a b", "1"], 2),
        (&["workspace", "get", "nosuch"], 5),
        (&["mesh", "catalog", "--jsn"], 2),
        (&["nosuch"], 2),
    ] {
        let arguments = match arguments {
            ["nosuch"] => arguments.to_vec(),
            _ => [arguments, &url].concat(),
        };
        let lost = Lost::ALL.map(|stderr| (None, Some(stderr)));
        let lost_both = Lost::ALL.map(|lost| (Some(lost), Some(lost)));
        for (stdout, stderr) in lost.into_iter().chain(lost_both) {
            for log in ["", "trace"] {
                let mut command = with_lost(&mesh.sandbox, &arguments, stdout, stderr);
                command.env("RUST_LOG", log);
                let output = run(command).await;
                let case = format!("{arguments:?} {stdout:?} {stderr:?} {log}");
                // A reader that closes the pipe of a result ends the command first.
                let is_ended = matches!(stdout, Some(Lost::ReaderClosed)) && output.code == 0;
                let has_result = matches!(arguments.get(1), Some(&("subscribe" | "stream")));
                assert!(
                    output.code == code || (is_ended && has_result),
                    "{case}: {output:?}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn result_is_written_without_stderr() {
    let mesh = start_mesh().await;
    let arguments = ["agent", "call", "echo", "\"a\"", "--url", &mesh.url];
    for stderr in Lost::ALL {
        let mut command = with_lost(&mesh.sandbox, &arguments, None, Some(stderr));
        command.env("RUST_LOG", "trace");
        let output = run(command).await;
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (0, "\"a\"\n"),
            "{stderr:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreground_mesh_ends_in_order_when_its_reader_closes_the_pipe() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&["mesh", "up", "--foreground", "--port", "0"]);
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    command.stdout(writer);
    let output = run(command).await;
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert_eq!(sandbox.url(), None);
    let mut up = Running::start(sandbox.command(&["mesh", "up", "--foreground", "--port", "0"]));
    up.line().await.unwrap();
    up.signal("-INT");
    assert_eq!(up.end().await.0.code(), Some(0));
}
