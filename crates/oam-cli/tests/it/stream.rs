//! `oam agent stream`: output of chunks, and cancellation at the agent.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use openagentmesh::{Agent, AgentSpec, agent, agents};
use tokio::sync::Semaphore;

use crate::support::{CommandOutput, HandlerCount, TestMesh};

/// Streams numbers with many digits.
#[agent]
fn digits(from: u8) -> impl Stream<Item = (u128, f64)> {
    stream::iter([
        (u128::MAX - u128::from(from), 0.1),
        (u128::from(from), 1e300),
    ])
}

/// Fails after two chunks.
#[agent]
fn fragile(_input: String) -> impl Stream<Item = Result<u32, std::io::Error>> {
    stream::iter([
        Ok(1),
        Ok(2),
        Err(std::io::Error::other("the disk is full")),
        Ok(3),
    ])
}

/// A streamer that counts, one number per permit that the test adds.
#[derive(Clone)]
struct Gated {
    gate: Arc<Semaphore>,
    alive: HandlerCount,
}

impl Gated {
    fn new(permits: usize) -> Self {
        Self {
            gate: Arc::new(Semaphore::new(permits)),
            alive: HandlerCount::default(),
        }
    }

    fn agent(&self) -> Agent {
        let Self { gate, alive } = self.clone();
        AgentSpec::new("gated", "Counts, one number per permit.").handler(move |_: String| {
            let start = (0_u32, Arc::clone(&gate), alive.guard());
            stream::unfold(start, |(number, gate, guard)| async move {
                gate.acquire().await.ok()?.forget();
                Some((number, (number + 1, gate, guard)))
            })
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunk_is_printed_on_arrival() {
    let gated = Gated::new(0);
    let mesh = TestMesh::start([gated.agent()]).await;
    let mut stream = mesh.start_oam(&["agent", "stream", "gated", "\"go\""]);
    for number in 0..5 {
        // The next permit is added only after this chunk is printed.
        gated.gate.add_permits(1);
        assert_eq!(stream.line().await, Some(number.to_string()));
    }
    gated.gate.close();
    assert_eq!(stream.line().await, None);
    let (status, stderr) = stream.end().await;
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunk_keeps_its_digits_on_one_line_or_over_several() {
    let mesh = TestMesh::start(agents![digits]).await;
    let output = mesh.oam_with_stdin(&["agent", "stream", "digits"], "5\n");
    insta::assert_snapshot!(output.stdout, @r"
    [340282366920938463463374607431768211450,0.1]
    [5,1e+300]
    ");
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    let output = mesh.oam(&["agent", "stream", "digits", "0", "--pretty"]);
    insta::assert_snapshot!(output.stdout, @r"
    [
      340282366920938463463374607431768211455,
      0.1
    ]
    [
      0,
      1e+300
    ]
    ");
    let output = mesh.oam_with_stdin(&["agent", "stream", "digits", "-"], "1");
    assert_eq!(
        (output.code, output.stdout.lines().count()),
        (0, 2),
        "{output:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failure_is_printed_after_the_chunks_before_it() {
    let mesh = TestMesh::start(agents![fragile, digits]).await;
    let output = mesh.oam(&["agent", "stream", "fragile", "\"x\""]);
    assert_eq!((output.code, output.stdout.as_str()), (1, "1\n2\n"));
    insta::assert_snapshot!(output.stderr, @r"
    error[handler_error]: the disk is full
      hint: the agent failed; look at the output of the process that serves fragile
      page: https://github.com/openagentmesh/openagentmesh-rs/blob/main/docs/reference/errors/handler_error.md
    ");

    let output = mesh.oam(&["agent", "stream", "digits", "\"a text\""]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
    assert!(output.stderr.contains("error[invalid_input]"), "{output:?}");
    assert!(
        output
            .stderr
            .contains("oam agent contract digits shows the input"),
        "{output:?}"
    );
    let output = mesh.oam(&["agent", "stream", "nosuch", "1"]);
    assert_eq!((output.code, output.stdout.as_str()), (5, ""), "{output:?}");
    assert!(output.stderr.contains("error[not_found]"), "{output:?}");
    let output = mesh.oam(&["agent", "stream", "digits", "it's"]);
    assert_eq!(output.code, 2);
    let fix = r#"oam agent stream digits '"it'\''s"'"#;
    assert!(output.stderr.contains(fix), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_stream_is_timeout_and_cancelled() {
    let gated = Gated::new(2);
    let mesh = TestMesh::start([gated.agent()]).await;
    let output = mesh.oam(&["agent", "stream", "gated", "\"go\"", "--timeout", "4"]);
    assert_eq!(output.code, 124, "{output:?}");
    // A slow machine may print fewer chunks before the timeout.
    assert!("0\n1\n".starts_with(&output.stdout), "{output:?}");
    for fragment in [
        "error[timeout]",
        "'gated'",
        "  hint: --timeout TIME waits longer",
    ] {
        assert!(output.stderr.contains(fragment), "{output:?}");
    }
    gated.alive.reaches(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_pipe_cancels_the_handler() {
    // An endless stream: the next chunk cannot be written.
    let gated = Gated::new(Semaphore::MAX_PERMITS);
    let mesh = TestMesh::start([gated.agent()]).await;
    let mut stream = mesh.start_oam(&["agent", "stream", "gated", "\"go\""]);
    assert_eq!(stream.line().await.as_deref(), Some("0"));
    stream.close_stdout();
    let (status, stderr) = stream.end().await;
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
    gated.alive.reaches(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_pipe_of_an_idle_stream_cancels_the_handler() {
    for chunks in [0, 1] {
        let gated = Gated::new(chunks);
        let mesh = TestMesh::start([gated.agent()]).await;
        let mut stream = mesh.start_oam(&["agent", "stream", "gated", "\"go\""]);
        if chunks > 0 {
            assert_eq!(stream.line().await.as_deref(), Some("0"));
        }
        gated.alive.reaches(1).await;
        stream.close_stdout();
        let (status, stderr) = stream.end().await;
        assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
        gated.alive.reaches(0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_to_file_or_null_device_is_complete() {
    let mesh = TestMesh::start(agents![digits]).await;
    let arguments = ["agent", "stream", "digits", "1", "--url", &mesh.url];
    let path = mesh.sandbox.work().join("chunks");
    let mut command = mesh.sandbox.command(&arguments);
    command.stdout(std::fs::File::create(&path).unwrap());
    let output: CommandOutput = command.output().unwrap().into();
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 2);
    let mut command = mesh.sandbox.command(&arguments);
    let output: CommandOutput = command.stdout(Stdio::null()).output().unwrap().into();
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signal_is_exit_code_130_and_cancels_the_handler() {
    for signal in ["-INT", "-TERM"] {
        let gated = Gated::new(1);
        let mesh = TestMesh::start([gated.agent()]).await;
        let mut stream = mesh.start_oam(&["agent", "stream", "gated", "\"go\""]);
        assert_eq!(stream.line().await.as_deref(), Some("0"));
        stream.signal(signal);
        let (status, stderr) = stream.end().await;
        assert_eq!((status.code(), stderr.as_str()), (Some(130), ""));
        gated.alive.reaches(0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_with_a_full_pipe_ends_the_command() {
    const ABOVE_PIPE_CAPACITY_BYTES: usize = 1024 * 1024;
    let alive = HandlerCount::default();
    let held = alive.clone();
    let agent = AgentSpec::new("vast", "Streams one large chunk.").handler(move |_: String| {
        let held = held.guard();
        stream::iter(["x".repeat(ABOVE_PIPE_CAPACITY_BYTES)])
            .chain(stream::pending())
            .map(move |chunk| {
                let _held = &held;
                chunk
            })
    });
    let mesh = TestMesh::start([agent]).await;
    let mut stream = mesh.start_oam(&["agent", "stream", "vast", "\"go\""]);
    // The command is blocked in the write of the chunk.
    stream.first_byte().await;
    stream.signal("-INT");
    let (status, stderr) = stream.end().await;
    assert_eq!((status.code(), stderr.as_str()), (Some(130), ""));
    alive.reaches(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_command_cancels_the_handler() {
    let gated = Gated::new(1);
    let mesh = TestMesh::start([gated.agent()]).await;
    let mut stream = mesh.start_oam(&["agent", "stream", "gated", "\"go\""]);
    assert_eq!(stream.line().await.as_deref(), Some("0"));
    stream.signal("-KILL");
    let (status, _) = stream.end().await;
    assert_eq!(status.signal(), Some(9));
    gated.alive.reaches(0).await;
}
