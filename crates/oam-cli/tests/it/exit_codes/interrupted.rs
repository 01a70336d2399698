//! Exit code 130, of commands that a signal ends.

use std::io::{Write, pipe};
use std::process::{Command, Stdio};

use openagentmesh::{AgentSpec, agents};

use super::{connecting_commands, echo, silent, slow_stream};
use crate::support::{HandlerCount, Running, Sandbox, TestMesh, within_deadline};

/// Waits for the end after `signal`. Asserts exit code 130, and no output on stderr but notes.
async fn assert_interrupted(mut running: Running, signal: &str, case: &[&str]) {
    running.signal(signal);
    let (status, stderr) = running.end().await;
    assert_eq!(status.code(), Some(130), "{case:?} {signal}: {stderr}");
    assert!(!stderr.contains("error"), "{case:?}: {stderr}");
}

/// `command` with an input that does not end, and the end of the pipe that keeps it open.
fn with_open_stdin(mut command: Command) -> (Running, impl Write) {
    let (reader, writer) = pipe().unwrap();
    command.stdin(Stdio::from(reader));
    (Running::start(command), writer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_command_is_exit_code_130_while_it_connects() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.work().join("f.txt"), "abc").unwrap();
    // The server accepts connections, and sends nothing.
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", server.local_addr().unwrap());
    let connect = ["mesh", "connect", &url];
    let commands = connecting_commands().into_iter().chain([&connect[..]]);
    for (arguments, signal) in commands.zip(["-INT", "-TERM"].into_iter().cycle()) {
        let url = ["--url", &url];
        let options = if arguments == connect { &[][..] } else { &url };
        let running = Running::start(sandbox.command(&[arguments, options].concat()));
        let connection = within_deadline("connection of the command", server.accept())
            .await
            .unwrap();
        assert_interrupted(running, signal, arguments).await;
        drop(connection);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_command_is_exit_code_130_while_it_works() {
    let handlers = HandlerCount::default();
    let counted = handlers.clone();
    let gated = AgentSpec::new("gated", "Never answers.").handler(move || {
        let guard = counted.guard();
        async move {
            let _guard = guard;
            std::future::pending::<u32>().await
        }
    });
    let mut agents = Vec::from(agents![echo, silent, slow_stream]);
    agents.push(gated);
    let mesh = TestMesh::start(agents).await;
    mesh.client
        .kv()
        .put("large", "x".repeat(900_000))
        .await
        .unwrap();
    mesh.client
        .workspace()
        .put("large", vec![0; 1_000_000])
        .await
        .unwrap();
    for signal in ["-INT", "-TERM"] {
        let call = &["agent", "call", "gated"];
        let running = mesh.start_oam(call);
        handlers.reaches(1).await;
        assert_interrupted(running, signal, call).await;
        // The call is cancelled at the agent.
        handlers.reaches(0).await;

        // The reader of the result stops.
        for stopped in [
            &["kv", "get", "large"][..],
            &["kv", "get", "large", "--json"],
            &["kv", "list", "--json"],
            &["kv", "watch", "--json"],
            &["workspace", "get", "large"],
        ] {
            let mut running = mesh.start_oam(stopped);
            running.first_byte().await;
            assert_interrupted(running, signal, stopped).await;
        }

        // The input does not end; a note says so.
        for waiting in [
            &["agent", "call", "echo"][..],
            &["agent", "stream", "slow_stream", "-"],
            &["kv", "put", "a"],
            &["workspace", "put", "a"],
        ] {
            let arguments = [waiting, &["--url", &mesh.url]].concat();
            let (mut running, writer) = with_open_stdin(mesh.sandbox.command(&arguments));
            running.error_line("waiting for").await;
            assert_interrupted(running, signal, waiting).await;
            drop(writer);
        }
    }
    assert!(mesh.client.kv().get("a").await.unwrap().is_none());
}
