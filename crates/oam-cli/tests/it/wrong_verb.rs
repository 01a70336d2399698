//! The hint of an error when the verb does not fit the agent.

use futures::{Stream, stream};
use openagentmesh::{agent, agents};

use crate::support::TestMesh;

/// Echoes a message back.
#[agent]
async fn echo(message: String) -> String {
    message
}

/// Counts to a number.
#[agent]
fn counter(to: u32) -> impl Stream<Item = u32> {
    stream::iter(0..to)
}

/// Publishes nothing.
#[agent(channel = "news")]
fn ticker() -> impl Stream<Item = u32> {
    stream::pending()
}

/// Does nothing.
#[agent]
async fn idle() {
    std::future::pending().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_verb_reports_the_command_to_use() {
    let mesh = TestMesh::start(agents![echo, counter, ticker, idle]).await;
    let long = format!("\"{}\"", "long ".repeat(20));
    for (arguments, hint) in [
        (
            &["agent", "call", "counter", "0"][..],
            "oam agent stream counter 0",
        ),
        (
            &["agent", "call", "news.ticker"],
            "oam agent subscribe news.ticker",
        ),
        (
            &["agent", "call", "news.ticker", "1"],
            "oam agent subscribe news.ticker",
        ),
        (
            &["agent", "stream", "echo", "\"it's me\""],
            r#"oam agent call echo '"it'\''s me"'"#,
        ),
        (&["agent", "stream", "echo"], "oam agent call echo"),
        (
            &["agent", "stream", "echo", &long],
            "oam agent call echo, with the same input",
        ),
        (
            &["agent", "stream", "news.ticker", "{}"],
            "oam agent subscribe news.ticker",
        ),
        (&["agent", "subscribe", "echo"], "oam agent call echo"),
        (
            &["agent", "subscribe", "counter"],
            "oam agent stream counter",
        ),
        (
            &["agent", "call", "idle"],
            "oam mesh catalog shows how each agent is used",
        ),
        (
            &["agent", "stream", "idle", "1"],
            "oam mesh catalog shows how each agent is used",
        ),
        (
            &["agent", "subscribe", "idle"],
            "oam mesh catalog shows how each agent is used",
        ),
    ] {
        let output = mesh.oam(arguments);
        assert_eq!(
            (output.code, output.stdout.as_str()),
            (1, ""),
            "{arguments:?}"
        );
        let mut lines = output.stderr.lines();
        let error = lines.next().unwrap();
        assert!(
            error.starts_with("error[invocation_mismatch]: agent '"),
            "{arguments:?}: {output:?}"
        );
        let expected = format!("  hint: {hint}");
        assert_eq!(lines.next(), Some(&*expected), "{arguments:?}");
        let page = lines.next().unwrap_or_default();
        assert!(page.starts_with("  page: https://"), "{output:?}");
        assert!(
            page.ends_with("/errors/invocation_mismatch.md"),
            "{output:?}"
        );
        assert_eq!(lines.next(), None);
    }
    for (arguments, hint) in [
        (
            &["agent", "call", "counter"][..],
            "hint: oam agent stream counter\n",
        ),
        (
            &["agent", "send", "counter", "-"],
            "hint: oam agent stream counter -\n",
        ),
    ] {
        let output = mesh.oam_with_stdin(arguments, "{\n \"piped\": 1\n}\n");
        assert!(output.stderr.contains(hint), "{output:?}");
    }
}
