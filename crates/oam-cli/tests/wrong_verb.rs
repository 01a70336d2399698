//! A verb that does not fit an agent names the command that does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::Served;
use futures::{Stream, stream};
use openagentmesh::{agent, agents};

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
async fn keeper() {
    std::future::pending().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hint_is_the_command_that_was_meant() {
    let served = Served::start(agents![echo, counter, ticker, keeper]).await;
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
            &["agent", "call", "keeper"],
            "oam mesh catalog shows how each agent is used",
        ),
        (
            &["agent", "stream", "keeper", "1"],
            "oam mesh catalog shows how each agent is used",
        ),
        (
            &["agent", "subscribe", "keeper"],
            "oam mesh catalog shows how each agent is used",
        ),
    ] {
        let ran = served.oam(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{arguments:?}");
        let mut lines = ran.stderr.lines();
        let error = lines.next().unwrap();
        assert!(
            error.starts_with("error[invocation_mismatch]: agent '"),
            "{arguments:?}: {ran:?}"
        );
        let expected = format!("  hint: {hint}");
        assert_eq!(lines.next(), Some(&*expected), "{arguments:?}");
        assert_eq!(lines.next(), None);
    }
    let ran = served.oam_with_stdin(&["agent", "call", "counter"], "{\n \"piped\": 1\n}\n");
    assert!(
        ran.stderr
            .contains("hint: oam agent stream counter, with the same input"),
        "{ran:?}"
    );
}
