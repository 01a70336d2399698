//! `oam agent call`: input, reply and errors.

use openagentmesh::schemars::JsonSchema;
use openagentmesh::serde::{Deserialize, Serialize};
use openagentmesh::{AgentSpec, agent, agents};

use crate::support::{CommandOutput, HandlerCount, Sandbox, TestMesh};

#[derive(Deserialize, Serialize, JsonSchema)]
struct Sum {
    /// The numbers to add.
    #[schemars(length(min = 1))]
    numbers: Vec<f64>,
}

/// Echoes a message back.
#[agent]
async fn echo(message: String) -> String {
    format!("Echo: {message}")
}

/// Adds numbers.
#[agent(channel = "math", tags = ["numbers"])]
async fn sum(input: Sum) -> f64 {
    input.numbers.iter().sum()
}

/// Always fails.
#[agent]
async fn broken() -> Result<u32, std::io::Error> {
    Err(std::io::Error::other("the disk is full"))
}

async fn start_mesh() -> TestMesh {
    TestMesh::start(agents![echo, sum, broken]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn input_from_argument_or_stdin_is_sent() {
    let mesh = start_mesh().await;
    let output = mesh.oam(&["agent", "call", "echo", "\"hello\""]);
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (0, "\"Echo: hello\"\n"),
        "{output:?}"
    );
    let output = mesh.oam_with_stdin(&["agent", "call", "math.sum"], "{\"numbers\": [1, 2.5]}\n");
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (0, "3.5\n"),
        "{output:?}"
    );
    let output = mesh.oam_with_stdin(&["agent", "call", "echo", "-"], "\"piped\"");
    assert_eq!(output.stdout, "\"Echo: piped\"\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn input_that_is_not_json_is_rejected_before_connecting() {
    let mesh = start_mesh().await;
    let output = mesh.oam(&["agent", "call", "echo", "hello"]);
    assert_eq!(output.code, 2);
    assert!(
        output
            .stderr
            .contains("error[invalid_input]: invalid JSON input"),
        "{output:?}"
    );
    assert!(
        output.stderr.contains("oam agent call echo '\"hello\"'"),
        "{output:?}"
    );
    // No mesh at this address: the input is rejected before the connection.
    let output = mesh
        .sandbox
        .oam(&["agent", "call", "echo", "{", "--url", "nats://127.0.0.9:9"]);
    assert_eq!(output.code, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_call_reports_code_and_hint() {
    let mesh = start_mesh().await;
    for (arguments, code, fragments) in [
        (
            &["agent", "call", "nosuch", "1"][..],
            5,
            &["error[not_found]", "'nosuch'", "oam mesh catalog lists"][..],
        ),
        (
            &["agent", "call", "broken"],
            1,
            &["error[handler_error]: the disk is full", "serves broken"],
        ),
        (
            &["agent", "call", "math.sum", "{\"numbers\": []}"],
            1,
            &["error[invalid_input]", "'math.sum': /numbers: ", " 1 item"],
        ),
        (
            &["agent", "call", "math.sum", "{}"],
            1,
            &["oam agent contract math.sum shows the input"],
        ),
        (
            &["agent", "call", "no spaces", "1"],
            2,
            &["error[invalid_input]", "'no spaces'"],
        ),
        (
            &["agent", "call", "echo", "1", "--timeout", "0"],
            2,
            &["a time span above 0"],
        ),
        (&["agent", "shout", "echo"], 2, &["unrecognized subcommand"]),
    ] {
        mesh.oam(arguments)
            .assert_failure(arguments, code, fragments);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistyped_option_is_not_taken_for_the_input() {
    let mesh = start_mesh().await;
    for verb in ["call", "stream"] {
        for (arguments, meant) in [
            (&["--jsn"][..], "'--json'"),
            (&["--jsn", "\"hello\""], "'--json'"),
            (&["\"hello\"", "--tiemout", "1"], "'--timeout'"),
            (&["-x"], "unexpected argument '-x'"),
        ] {
            let command = [&["agent", verb, "echo"], arguments].concat();
            let expected = ["unexpected argument", meant];
            mesh.oam(&command).assert_failure(&command, 2, &expected);
        }
    }
}

/// Doubles a number.
#[agent]
async fn double(number: f64) -> f64 {
    2.0 * number
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn negative_number_is_an_input() {
    let mesh = TestMesh::start(agents![double]).await;
    for (input, expected) in [
        ("-5", "-10.0\n"),
        ("-0.25", "-0.5\n"),
        ("-5e3", "-10000.0\n"),
        ("-1.5e-3", "-0.003\n"),
        ("-1E+2", "-200.0\n"),
    ] {
        for arguments in [
            &["agent", "call", "double", input, "--timeout", "30"][..],
            &["agent", "call", "double", "--timeout", "30", "--", input],
            &["--json", "agent", "call", "double", input],
        ] {
            let output = mesh
                .sandbox
                .command(arguments)
                .env("OAM_URL", &mesh.url)
                .output();
            let output = CommandOutput::from(output.unwrap());
            assert_eq!(output.stdout, expected, "{arguments:?}: {output:?}");
        }
    }
}

#[test]
fn timeout_covers_the_connection() {
    // Accepts connections, and never greets.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", silent.local_addr().unwrap());
    let command = [
        "agent",
        "call",
        "echo",
        "1",
        "--timeout",
        "0.3",
        "--url",
        &url,
    ];
    let expected = ["error[timeout]: not connected to the mesh within 300ms"];
    Sandbox::new()
        .oam(&command)
        .assert_failure(&command, 124, &expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_agent_is_timeout() {
    let mesh = start_mesh().await;
    let spec = AgentSpec::new("slow", "Never answers.");
    mesh.client
        .register(spec.handler(std::future::pending::<u32>))
        .await
        .unwrap();
    let command = ["agent", "call", "slow", "--timeout", "3"];
    // The message is that of the caller or that of the host, whichever notices the deadline first.
    let expected = ["error[timeout]", "'slow'", "--timeout TIME"];
    mesh.oam(&command).assert_failure(&command, 124, &expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timeout_of_a_lost_connection_does_not_advise_to_wait_longer() {
    let mesh = start_mesh().await;
    let running = HandlerCount::default();
    let guards = running.clone();
    let spec = AgentSpec::new("slow", "Never answers.").handler(move || {
        let guard = guards.guard();
        async move {
            let _guard = guard;
            std::future::pending::<u32>().await
        }
    });
    mesh.client.register(spec).await.unwrap();
    let mut command = mesh.start_oam(&["agent", "call", "slow", "--timeout", "4"]);
    running.reaches(1).await;
    mesh.server.stop().await.unwrap();
    let (status, stderr) = command.end().await;
    assert_eq!(status.code(), Some(124), "{stderr}");
    assert!(stderr.contains("has been lost for"), "{stderr}");
    assert!(stderr.contains("check the server"), "{stderr}");
    assert!(!stderr.contains("--timeout"), "{stderr}");
}
