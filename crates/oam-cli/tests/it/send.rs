//! `oam agent send`: a request without waiting, and `oam agent call` that is interrupted.

use std::sync::Arc;

use futures::{Stream, stream};
use openagentmesh::{AgentSpec, Context, agent, agents};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::{ConfiguredServer, HandlerCount, Sandbox, TestMesh, within_deadline};

/// Echoes a number.
#[agent]
async fn echo(number: u32) -> u32 {
    number
}

/// Counts to a number.
#[agent]
fn counter(to: u32) -> impl Stream<Item = u32> {
    stream::iter(0..to)
}

/// Always fails.
#[agent]
async fn broken(_input: String) -> Result<u32, std::io::Error> {
    Err(std::io::Error::other("the disk is full"))
}

/// The requests that an agent has received: its id, its header "Tenant", and its input.
type Received = mpsc::UnboundedReceiver<(String, Option<String>, Value)>;

/// A mesh with the agent "jobs.take", which replies with its input.
async fn start_mesh() -> (TestMesh, Received) {
    let mesh = TestMesh::start(agents![counter, broken]).await;
    let (sender, received) = mpsc::unbounded_channel();
    let spec = AgentSpec::new("jobs.take", "Takes a job.");
    let spec = spec.handler(move |context: Context, input: Value| {
        let header = context.header("Tenant").map(str::to_owned);
        let request = (context.request_id().to_string(), header, input.clone());
        drop(sender.send(request));
        async move { input }
    });
    mesh.client.register(spec).await.unwrap();
    (mesh, received)
}

async fn next(received: &mut Received) -> (String, Option<String>, Value) {
    within_deadline("request", received.recv()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sent_request_arrives_under_the_printed_id() {
    let (mesh, mut received) = start_mesh().await;
    let send = [
        "agent",
        "send",
        "jobs.take",
        "{\"n\": 1}",
        "-H",
        "Tenant=acme",
    ];
    let output = mesh.oam(&send);
    let (id, tenant, input) = next(&mut received).await;
    let expected = format!("sent to jobs.take, request {id}\n");
    assert_eq!((output.code, output.stdout), (0, expected));
    assert_eq!(output.stderr, "");
    assert_eq!((tenant.as_deref(), input), (Some("acme"), json!({"n": 1})));

    let output = mesh.oam_with_stdin(&["agent", "send", "jobs.take", "--json"], "[2]");
    let (id, tenant, input) = next(&mut received).await;
    let printed: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(printed, json!({"agent": "jobs.take", "request_id": id}));
    assert_eq!((tenant, input), (None, json!([2])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reply_is_printed_or_sent_to_a_subject() {
    let (mesh, _received) = start_mesh().await;
    let output = mesh.oam(&["agent", "send", "jobs.take", "7", "--wait"]);
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (0, "7\n"),
        "{output:?}"
    );
    let failed = ["agent", "send", "broken", "\"x\"", "--wait"];
    mesh.oam(&failed)
        .assert_failure(&failed, 1, &["error[handler_error]: the disk is full"]);

    let mut replies = mesh
        .client
        .subscribe_subject::<Value>("my.replies")
        .await
        .unwrap();
    let output = mesh.oam(&[
        "agent",
        "send",
        "jobs.take",
        "8",
        "--reply-to",
        "my.replies",
    ]);
    assert_eq!(output.code, 0, "{output:?}");
    let reply = within_deadline("reply", replies.next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(reply.data, json!(8));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn send_that_fails_reports_code_and_hint() {
    let (mesh, _received) = start_mesh().await;
    for (arguments, code, fragments) in [
        (
            &["agent", "send", "counter", "3"][..],
            1,
            &[
                "error[invocation_mismatch]",
                "hint: oam agent stream counter 3",
            ][..],
        ),
        (&["agent", "send", "nosuch", "1"], 5, &["error[not_found]"]),
        (
            &["agent", "send", "jobs.take", "{"],
            2,
            &["invalid JSON input"],
        ),
        (
            &["agent", "send", "jobs.take", "1", "--reply-to", "a b"],
            2,
            &["invalid subject 'a b'"],
        ),
        (
            &[
                "agent",
                "send",
                "jobs.take",
                "1",
                "--reply-to",
                "a",
                "--wait",
            ],
            2,
            &["cannot be used with"],
        ),
        (
            &["agent", "send", "jobs.take", "1", "--jsn"],
            2,
            &["unexpected argument", "'--json'"],
        ),
    ] {
        mesh.oam(arguments)
            .assert_failure(arguments, code, fragments);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn denied_send_or_publish_is_exit_code_4() {
    let server = ConfiguredServer::start(
        true,
        "authorization { users: [ { user: ann, password: pw, permissions: { publish: { deny: \
         [\"mesh.agent.echo\", \"orders.secret\"] } } } ] }",
    )
    .await;
    let url = server.url_of("ann");
    let mesh = openagentmesh::AgentMesh::connect(&url).await.unwrap();
    mesh.register(agents![echo]).await.unwrap();
    for (arguments, subject) in [
        (["agent", "send", "echo", "7"], "mesh.agent.echo"),
        (["mesh", "publish", "orders.secret", "7"], "orders.secret"),
    ] {
        let command = [&arguments[..], &["--url", &url]].concat();
        let output = Sandbox::new().oam(&command);
        output.assert_failure(&command, 4, &["error[connection_denied]", subject]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn header_reaches_the_agent_of_each_verb() {
    let mesh = TestMesh::start([]).await;
    let (sender, mut received) = mpsc::unbounded_channel();
    let sender = Arc::new(sender);
    let streams = Arc::clone(&sender);
    let tenant = |context: &Context| context.header("Tenant").map(str::to_owned);
    let one = AgentSpec::new("one", "Replies once.").handler(move |context: Context| {
        drop(sender.send(tenant(&context)));
        async { 1 }
    });
    let many = AgentSpec::new("many", "Streams.").handler(move |context: Context, _: u32| {
        drop(streams.send(tenant(&context)));
        stream::iter(0..1)
    });
    mesh.client.register([one, many]).await.unwrap();
    for arguments in [
        &["agent", "call", "one"][..],
        &["agent", "send", "one", "--wait"],
        &["agent", "stream", "many", "1"],
    ] {
        let command = [arguments, &["--header", "A=1", "-H", "Tenant=a=b c"]].concat();
        assert_eq!(mesh.oam(&command).code, 0, "{command:?}");
        let tenant = within_deadline("request", received.recv()).await.unwrap();
        assert_eq!(tenant.as_deref(), Some("a=b c"));
        for (header, fragment) in [
            ("Tenant", "write NAME=VALUE"),
            ("Tenant: a", "write NAME=VALUE, as in Tenant=a"),
            ("a b=1", "invalid name"),
            ("X-Mesh-Status=ok", "belongs to the protocol"),
            ("nats-msg-id=1", "belongs to the protocol"),
            ("A=b\nc", "line breaks"),
        ] {
            let command = [arguments, &["-H", header]].concat();
            mesh.oam(&command).assert_failure(&command, 2, &[fragment]);
        }
    }
    assert!(received.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_request_is_cancelled_at_the_agent() {
    let mesh = TestMesh::start([]).await;
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
    for arguments in [
        &["agent", "call", "slow"][..],
        &["agent", "send", "slow", "--wait"],
    ] {
        let mut command = mesh.start_oam(arguments);
        running.reaches(1).await;
        command.signal("-INT");
        let (status, stderr) = command.end().await;
        assert_eq!(
            (status.code(), stderr.as_str()),
            (Some(130), ""),
            "{arguments:?}"
        );
        running.reaches(0).await;
    }
}
