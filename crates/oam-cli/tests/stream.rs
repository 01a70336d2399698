//! `oam agent stream`: chunks as they come, and no work for nobody.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::Arc;

use common::{Alive, Ran, Served};
use futures::{Stream, StreamExt, stream};
use openagentmesh::{Agent, AgentSpec, agent, agents};
use tokio::sync::Semaphore;

/// Counts from a number on, with as many digits as there can be.
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

/// A streamer that counts, one number for each permit that the test adds.
#[derive(Clone)]
struct Gated {
    gate: Arc<Semaphore>,
    alive: Alive,
}

impl Gated {
    fn new(permits: usize) -> Self {
        Self {
            gate: Arc::new(Semaphore::new(permits)),
            alive: Alive::default(),
        }
    }

    fn agent(&self) -> Agent {
        let Self { gate, alive } = self.clone();
        AgentSpec::new("gated", "Counts when it is allowed to.").handler(move |_: String| {
            let start = (0_u32, Arc::clone(&gate), alive.guard());
            stream::unfold(start, |(number, gate, guard)| async move {
                gate.acquire().await.ok()?.forget();
                Some((number, (number + 1, gate, guard)))
            })
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_chunk_is_printed_when_it_arrives() {
    let gated = Gated::new(0);
    let served = Served::start([gated.agent()]).await;
    let mut stream = served.start_oam(&["agent", "stream", "gated", "\"go\""]);
    for number in 0..5 {
        // There is no further chunk before this one was printed.
        gated.gate.add_permits(1);
        assert_eq!(stream.line().await, Some(number.to_string()));
    }
    gated.gate.close();
    assert_eq!(stream.line().await, None);
    let (status, stderr) = stream.end().await;
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_keep_their_digits_on_one_line_or_over_several() {
    let served = Served::start(agents![digits]).await;
    let ran = served.oam_with_stdin(&["agent", "stream", "digits"], "5\n");
    insta::assert_snapshot!(ran.stdout, @r"
    [340282366920938463463374607431768211450,0.1]
    [5,1e+300]
    ");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let ran = served.oam(&["agent", "stream", "digits", "0", "--json"]);
    insta::assert_snapshot!(ran.stdout, @r"
    [
      340282366920938463463374607431768211455,
      0.1
    ]
    [
      0,
      1e+300
    ]
    ");
    let ran = served.oam_with_stdin(&["agent", "stream", "digits", "-"], "1");
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 2), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_comes_after_the_chunks_before_it() {
    let served = Served::start(agents![fragile, digits]).await;
    let ran = served.oam(&["agent", "stream", "fragile", "\"x\""]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, "1\n2\n"));
    insta::assert_snapshot!(ran.stderr, @r"
    error[handler_error]: the disk is full
      hint: the agent failed; look at the output of the process that serves fragile
    ");

    let ran = served.oam(&["agent", "stream", "digits", "\"a text\""]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
    assert!(ran.stderr.contains("error[invalid_input]"), "{ran:?}");
    assert!(
        ran.stderr
            .contains("oam agent contract digits shows the input"),
        "{ran:?}"
    );
    let ran = served.oam(&["agent", "stream", "nosuch", "1"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
    assert!(ran.stderr.contains("error[not_found]"), "{ran:?}");
    let ran = served.oam(&["agent", "stream", "digits", "it's"]);
    assert_eq!(ran.code, 2);
    let fix = r#"oam agent stream digits '"it'\''s"'"#;
    assert!(ran.stderr.contains(fix), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_takes_too_long_is_given_up() {
    let gated = Gated::new(2);
    let served = Served::start([gated.agent()]).await;
    let ran = served.oam(&["agent", "stream", "gated", "\"go\"", "--timeout", "1.5"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, "0\n1\n"), "{ran:?}");
    insta::assert_snapshot!(ran.stderr, @r"
    error[timeout]: timeout: agent 'gated' did not end its stream within 1.5s
      hint: --timeout SECONDS waits longer
    ");
    gated.alive.is(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_pipe_ends_the_work_at_the_agent() {
    // Chunks come without end: the next one cannot be written.
    let gated = Gated::new(Semaphore::MAX_PERMITS);
    let served = Served::start([gated.agent()]).await;
    let mut stream = served.start_oam(&["agent", "stream", "gated", "\"go\""]);
    assert_eq!(stream.line().await.as_deref(), Some("0"));
    stream.stop_reading();
    let (status, stderr) = stream.end().await;
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
    gated.alive.is(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_pipe_ends_a_stream_that_is_idle() {
    for chunks in [0, 1] {
        let gated = Gated::new(chunks);
        let served = Served::start([gated.agent()]).await;
        let mut stream = served.start_oam(&["agent", "stream", "gated", "\"go\""]);
        if chunks > 0 {
            assert_eq!(stream.line().await.as_deref(), Some("0"));
        }
        gated.alive.is(1).await;
        stream.stop_reading();
        let (status, stderr) = stream.end().await;
        assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
        gated.alive.is(0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_and_the_null_device_are_written_to_the_end() {
    let served = Served::start(agents![digits]).await;
    let arguments = ["agent", "stream", "digits", "1", "--url", &served.url];
    let path = served.sandbox.work().join("chunks");
    let mut command = served.sandbox.command(&arguments);
    command.stdout(std::fs::File::create(&path).unwrap());
    let ran: Ran = command.output().unwrap().into();
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 2);
    let mut command = served.sandbox.command(&arguments);
    let ran: Ran = command.stdout(Stdio::null()).output().unwrap().into();
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_ends_it_and_says_that_it_is_not_complete() {
    let gated = Gated::new(1);
    let served = Served::start([gated.agent()]).await;
    let mut stream = served.start_oam(&["agent", "stream", "gated", "\"go\""]);
    assert_eq!(stream.line().await.as_deref(), Some("0"));
    stream.signal("-INT");
    let (status, stderr) = stream.end().await;
    assert_eq!((status.code(), stderr.as_str()), (Some(130), ""));
    gated.alive.is(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_ends_it_also_when_nobody_reads() {
    const MORE_THAN_A_PIPE_HOLDS: usize = 1024 * 1024;
    let alive = Alive::default();
    let held = alive.clone();
    let agent = AgentSpec::new("vast", "Gives one large chunk.").handler(move |_: String| {
        let held = held.guard();
        stream::iter(["x".repeat(MORE_THAN_A_PIPE_HOLDS)])
            .chain(stream::pending())
            .map(move |chunk| {
                let _held = &held;
                chunk
            })
    });
    let served = Served::start([agent]).await;
    let mut stream = served.start_oam(&["agent", "stream", "vast", "\"go\""]);
    // It has begun to write what it cannot finish.
    stream.first_byte().await;
    stream.signal("-INT");
    let (status, stderr) = stream.end().await;
    assert_eq!((status.code(), stderr.as_str()), (Some(130), ""));
    alive.is(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_killed_ends_the_work_at_the_agent() {
    for (signal, number) in [("-KILL", 9), ("-TERM", 15)] {
        let gated = Gated::new(1);
        let served = Served::start([gated.agent()]).await;
        let mut stream = served.start_oam(&["agent", "stream", "gated", "\"go\""]);
        assert_eq!(stream.line().await.as_deref(), Some("0"));
        stream.signal(signal);
        let (status, _) = stream.end().await;
        assert_eq!(status.signal(), Some(number));
        gated.alive.is(0).await;
    }
}
