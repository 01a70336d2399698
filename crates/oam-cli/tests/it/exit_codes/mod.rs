//! Each exit code, in the situations in which a script meets it, with the error object that `--json` prints.

mod interrupted;

use std::collections::BTreeSet;
use std::io::pipe;
use std::net::TcpListener;

use futures::{Stream, stream};
use openagentmesh::{AgentMesh, Error, agent, agents};
use serde_json::{Value, json};

use crate::support::{CommandOutput, ConfiguredServer, Sandbox, TestMesh};
use crate::unwritable_output::COMMANDS;

/// No server listens on this port.
const UNREACHABLE: &str = "nats://127.0.0.1:1";

/// Echoes a message back.
#[agent]
async fn echo(message: String) -> String {
    message
}

/// Refuses with a code of its own.
#[agent]
async fn sold_out() -> Result<u32, Error> {
    Err(Error::new("sold_out", "the article is sold out").with_detail("retry_after", 5))
}

/// Fails.
#[agent]
async fn broken() -> Result<u32, std::io::Error> {
    Err(std::io::Error::other("the disk is full"))
}

/// Never answers.
#[agent]
async fn slow() -> u32 {
    std::future::pending().await
}

/// Streams nothing.
#[agent]
fn slow_stream(_to: u32) -> impl Stream<Item = u32> {
    stream::pending()
}

/// Publishes nothing.
#[agent]
fn silent() -> impl Stream<Item = u32> {
    stream::unfold((), |()| std::future::pending())
}

async fn start_mesh() -> TestMesh {
    TestMesh::start(agents![echo, sold_out, broken, slow, slow_stream, silent]).await
}

/// A command, its exit code and the code of its error.
type Case<'c> = (&'c [&'c str], i32, &'c str);

/// Asserts the exit code, and with `--json` the error object. Returns the objects of the errors.
fn assert_failures(sandbox: &Sandbox, url: &str, cases: &[Case<'_>]) -> Vec<Value> {
    let mut errors = Vec::new();
    for (arguments, code, error) in cases {
        let arguments = [&["--url", url][..], arguments].concat();
        let output = sandbox.oam(&arguments);
        assert_eq!(output.code, *code, "{arguments:?}: {output:?}");
        assert_eq!(output.stdout, "", "{arguments:?}");
        assert!(output.stderr.contains("error"), "{arguments:?}: {output:?}");
        let arguments = [&["--json"][..], &arguments].concat();
        let output = sandbox.oam(&arguments);
        assert_eq!(
            (output.code, &*output.stdout),
            (*code, ""),
            "{arguments:?}: {output:?}"
        );
        errors.push(error_object(&arguments, &output, error));
    }
    errors
}

/// The error object in the last line of stderr, each line of which is an object.
fn error_object(arguments: &[&str], output: &CommandOutput, code: &str) -> Value {
    let parse = |line| {
        serde_json::from_str::<Value>(line)
            .unwrap_or_else(|_| panic!("no JSON: {arguments:?}: {output:?}"))
    };
    let mut lines: Vec<Value> = output.stderr.lines().map(parse).collect();
    assert!(
        lines.iter().all(Value::is_object),
        "{arguments:?}: {output:?}"
    );
    let error = lines.pop().unwrap()["error"].take();
    assert_eq!(error["code"], code, "{arguments:?}: {output:?}");
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|message| !message.is_empty()),
        "{arguments:?}: {output:?}"
    );
    assert!(error["details"].is_object(), "{arguments:?}: {output:?}");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusal_of_an_agent_or_of_the_mesh_is_exit_code_1() {
    let mesh = start_mesh().await;
    mesh.client.kv().put("taken", "1").await.unwrap();
    let cases: &[Case<'_>] = &[
        (&["agent", "call", "sold_out"], 1, "sold_out"),
        (&["agent", "call", "broken"], 1, "handler_error"),
        (&["agent", "call", "echo", "5"], 1, "invalid_input"),
        (&["agent", "call", "silent"], 1, "invocation_mismatch"),
        (
            &["agent", "stream", "echo", "\"a\""],
            1,
            "invocation_mismatch",
        ),
        (&["agent", "subscribe", "echo"], 1, "invocation_mismatch"),
        (
            &["agent", "contract", "silent", "--format", "openai"],
            1,
            "invocation_mismatch",
        ),
        (&["kv", "create", "taken", "1"], 1, "kv_key_exists"),
    ];
    let errors = assert_failures(&mesh.sandbox, &mesh.url, cases);
    assert_eq!(errors[0]["details"]["retry_after"], 5);
    assert!(errors[2]["details"]["errors"].is_array(), "{}", errors[2]);
    // A value that no message carries.
    let large = "x".repeat(9_000_000);
    let output = mesh.oam_with_stdin(&["kv", "put", "large", "--json"], &large);
    assert_eq!(output.code, 1, "{output:?}");
    error_object(&["kv", "put"], &output, "payload_too_large");
}

#[test]
fn failure_of_this_machine_is_exit_code_1() {
    let sandbox = Sandbox::new();
    std::fs::write(
        sandbox.work().join(".oam-url"),
        "nats://mesh.example:4222\n",
    )
    .unwrap();
    for arguments in [&["mesh", "up", "--port", "0"][..], &["mesh", "down"]] {
        let output = sandbox.oam(arguments);
        assert_eq!(output.code, 1, "{arguments:?}: {output:?}");
        let output = sandbox.oam(&[arguments, &["--json"]].concat());
        assert_eq!(output.code, 1, "{arguments:?}: {output:?}");
        error_object(arguments, &output, "failed");
    }
    std::fs::remove_file(sandbox.work().join(".oam-url")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_command_line_or_input_is_exit_code_2_without_a_mesh() {
    let sandbox = Sandbox::new();
    assert_failures(
        &sandbox,
        UNREACHABLE,
        &[
            (&["nosuch"], 2, "invalid_input"),
            (&["mesh", "nosuch"], 2, "invalid_input"),
            (&["mesh", "catalog", "--jsn"], 2, "invalid_input"),
            (&["mesh", "listen"], 2, "invalid_input"),
            (&["mesh", "up"], 2, "invalid_input"),
            (&["agent", "call", "echo", "{"], 2, "invalid_input"),
            (&["agent", "call", "a b", "1"], 2, "invalid_input"),
            (
                &["agent", "call", "echo", "1", "--timeout", "soon"],
                2,
                "invalid_input",
            ),
            (
                &["agent", "call", "echo", "1", "--timeout", "0"],
                2,
                "invalid_input",
            ),
            (
                &["agent", "contract", "echo", "--strict", "--format", "text"],
                2,
                "invalid_input",
            ),
            (&["workspace", "put", "a", "nosuch.txt"], 2, "invalid_input"),
            (
                &["workspace", "get", "a", "nosuch/a.txt"],
                2,
                "invalid_input",
            ),
            (&["workspace", "delete", "--prefix", ""], 2, "invalid_input"),
            (&["workspace", "delete"], 2, "invalid_input"),
            (
                &["conform", "host", "a", "--expected", "nosuch.txt"],
                2,
                "invalid_input",
            ),
        ],
    );
    let mesh = start_mesh().await;
    assert_failures(
        &sandbox,
        &mesh.url,
        &[
            (&["kv", "put", "a b", "1"], 2, "invalid_input"),
            (&["kv", "list", "a..b"], 2, "invalid_input"),
            (&["mesh", "listen", "a b"], 2, "invalid_input"),
        ],
    );
    assert_failures(
        &sandbox,
        "wss://127.0.0.1:1",
        &[(&["kv", "list"], 2, "configuration")],
    );
}

/// The commands that connect to a mesh, each once, without the options of the output.
fn connecting_commands() -> Vec<&'static [&'static str]> {
    let mut known = BTreeSet::new();
    let commands = COMMANDS.iter().copied();
    commands
        .filter(|arguments| known.insert(&arguments[..arguments.len().min(2)]))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreachable_server_or_agent_is_exit_code_3() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.work().join("f.txt"), "abc").unwrap();
    for arguments in connecting_commands() {
        assert_failures(
            &sandbox,
            UNREACHABLE,
            &[(arguments, 3, "connection_failed")],
        );
    }
    let output = sandbox.oam(&["mesh", "connect", UNREACHABLE, "--json"]);
    assert_eq!(output.code, 3, "{output:?}");
    error_object(&["mesh", "connect"], &output, "connection_failed");
    assert_failures(
        &sandbox,
        UNREACHABLE,
        &[(&["conform", "host", "echo"], 3, "connection_failed")],
    );

    let mesh = TestMesh::start([]).await;
    mesh.list_without_host("ghost").await;
    assert_failures(
        &mesh.sandbox,
        &mesh.url,
        &[(&["agent", "call", "ghost", "1"], 3, "not_available")],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn denial_of_the_server_is_exit_code_4() {
    let server = ConfiguredServer::start(
        true,
        "authorization { users: [ { user: admin, password: pw }, { user: ann, password: pw, permissions: { \
         publish: { deny: [\"mesh.agent.>\", \"$KV.>\", \"$O.>\", \"$JS.API.STREAM.MSG.GET.>\", \"$JS.API.DIRECT.GET.>\", \
         \"$JS.API.CONSUMER.>\", \"$JS.API.STREAM.UPDATE.>\"] }, subscribe: { deny: [\"mesh.agent.>\"] } } } ] }",
    )
    .await;
    let admin = AgentMesh::connect(server.url_of("admin")).await.unwrap();
    admin.create_buckets().await.unwrap();
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.work().join("f.txt"), "abc").unwrap();
    // The connection is denied: no credentials, or wrong ones.
    let anonymous = format!("nats://{}", server.address);
    let wrong = format!("nats://ann:wrong@{}", server.address);
    for arguments in connecting_commands() {
        assert_failures(&sandbox, &anonymous, &[(arguments, 4, "connection_denied")]);
    }
    let others: &[Case<'_>] = &[
        (&["kv", "list"], 4, "connection_denied"),
        (&["conform", "host", "echo"], 4, "connection_denied"),
    ];
    for url in [&anonymous, &wrong] {
        assert_failures(&sandbox, url, others);
        let output = sandbox.oam(&["mesh", "connect", url, "--json"]);
        assert_eq!(output.code, 4, "{output:?}");
        error_object(&["mesh", "connect"], &output, "connection_denied");
    }
    // The operation is denied.
    assert_failures(
        &sandbox,
        &server.url_of("ann"),
        &[
            (&["agent", "call", "echo", "1"], 4, "connection_denied"),
            (&["agent", "stream", "echo", "1"], 4, "connection_denied"),
            (&["kv", "put", "a", "1"], 4, "connection_denied"),
            (&["kv", "get", "a"], 4, "connection_denied"),
            (&["kv", "list"], 4, "connection_denied"),
            (
                &["mesh", "listen", "mesh.agent.a.events"],
                4,
                "connection_denied",
            ),
            (&["workspace", "put", "a", "f.txt"], 4, "connection_denied"),
            (&["mesh", "catalog"], 4, "connection_denied"),
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_agent_key_or_file_is_exit_code_5() {
    let mesh = start_mesh().await;
    mesh.client.workspace().put("f", "abc").await.unwrap();
    let errors = assert_failures(
        &mesh.sandbox,
        &mesh.url,
        &[
            (&["agent", "call", "ehco", "\"a\""], 5, "not_found"),
            (&["agent", "call", "nosuch"], 5, "not_found"),
            (&["agent", "stream", "nosuch", "1"], 5, "not_found"),
            (&["agent", "subscribe", "nosuch"], 5, "not_found"),
            (&["agent", "contract", "nosuch"], 5, "not_found"),
            (&["kv", "get", "nosuch"], 5, "not_found"),
            (&["kv", "delete", "nosuch"], 5, "not_found"),
            (&["workspace", "get", "nosuch"], 5, "not_found"),
            (&["workspace", "info", "nosuch"], 5, "not_found"),
            (&["workspace", "delete", "nosuch"], 5, "not_found"),
            (&["conform", "host", "nosuch"], 5, "not_found"),
        ],
    );
    assert_eq!(
        errors[0]["details"]["similar"],
        json!(["echo"]),
        "{}",
        errors[0]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passed_time_limit_is_exit_code_124() {
    let mesh = start_mesh().await;
    let limit = ["--timeout", "150ms"];
    for arguments in [
        &["agent", "call", "slow"][..],
        &["agent", "stream", "slow_stream", "1"],
        &["agent", "subscribe", "silent"],
        &["mesh", "listen", "mesh.agent.nosuch"],
    ] {
        let arguments = [arguments, &limit].concat();
        assert_failures(&mesh.sandbox, &mesh.url, &[(&arguments, 124, "timeout")]);
    }
    // The input does not end.
    for (verb, agent) in [("call", "echo"), ("stream", "slow_stream")] {
        let arguments = [
            "agent",
            verb,
            agent,
            "--timeout",
            "150ms",
            "--url",
            &mesh.url,
            "--json",
        ];
        let mut command = mesh.sandbox.command(&arguments);
        let (reader, writer) = pipe().unwrap();
        let output: CommandOutput = command.stdin(reader).output().unwrap().into();
        drop(writer);
        assert_eq!(output.code, 124, "{output:?}");
        error_object(&arguments, &output, "timeout");
    }
    // The server does not answer.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    for verb in ["call", "stream"] {
        assert_failures(
            &mesh.sandbox,
            &url,
            &[(
                &["agent", verb, "echo", "1", "--timeout", "150ms"],
                124,
                "timeout",
            )],
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_is_stopped_is_exit_code_0() {
    let mesh = start_mesh().await;
    for signal in ["-INT", "-TERM"] {
        let mut monitor = mesh.start_oam(&["mesh", "monitor"]);
        monitor.line().await.unwrap();
        monitor.signal(signal);
        assert_eq!(monitor.end().await.0.code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn success_is_exit_code_0_also_without_a_result() {
    let mesh = TestMesh::start([]).await;
    for arguments in [
        &["mesh", "catalog"][..],
        &["kv", "list"],
        &["workspace", "list"],
        &["tools"],
    ] {
        let output = mesh.oam(arguments);
        assert_eq!(output.code, 0, "{output:?}");
        // With --json, an empty result is an empty document and no note.
        let output = mesh.oam(&[arguments, &["--json", "-q"]].concat());
        assert_eq!((output.code, &*output.stderr), (0, ""), "{output:?}");
        let empty: Value = serde_json::from_str(&output.stdout).unwrap();
        assert!(empty == json!([]) || empty["tools"] == json!([]), "{empty}");
    }
    let mut command = mesh.sandbox.command(&["--help"]);
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let output: CommandOutput = command.stdout(writer).output().unwrap().into();
    assert_eq!((output.code, &*output.stderr), (0, ""));
}
