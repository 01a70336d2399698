//! Every example does what it says, as a process of its own on a real mesh.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod model;
mod process;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use openagentmesh::{AgentMesh, Error};
use openagentmesh_local::LocalServer;
use process::{Example, Typed, within};
use serde_json::{Value, json};

/// Makes a test of each function here that has the name of an example and takes it, started.
macro_rules! run {
    ($($name:ident),+ $(,)?) => {
        const RUN: &[&str] = &[$(stringify!($name)),+];

        mod example {
            use super::*;

            $(#[tokio::test]
            async fn $name() {
                let server = LocalServer::start().await.unwrap();
                let mesh = AgentMesh::connect(server.url()).await.unwrap();
                let example = Example::start(stringify!($name), server.url());
                super::$name(example, &mesh).await;
                let left = mesh.catalog().fresh().await.unwrap();
                assert!(left.is_empty(), "still listed: {left:?}");
            })+
        }
    };
}

run![
    agents_with_state,
    call,
    discovery,
    echo,
    publish,
    publisher,
    relay,
    responder,
    send,
    shared_files,
    shared_state,
    shared_values,
    stream,
    streamer,
    subscribe,
    trigger,
    watcher,
];

#[test]
fn every_example_is_run() {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).read_dir().unwrap();
    let examples: BTreeSet<String> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let run = RUN.iter().chain(&[model::EXAMPLE]);
    let run: BTreeSet<String> = run.map(|&name| name.to_owned()).collect();
    assert_eq!(examples, run, "each file has a test of its name above");
}

/// Does what the user would: `oam agent call …`.
async fn call_typed(mesh: &AgentMesh, typed: &Typed) -> Result<Value, Error> {
    assert_eq!(typed.verb, "call");
    within(mesh.call(&typed.agent, &typed.input)).await
}

/// `oam agent stream …`, until there were so many chunks.
async fn stream_typed(mesh: &AgentMesh, typed: &Typed, chunks: usize) -> Vec<String> {
    assert_eq!(typed.verb, "stream");
    let stream = within(mesh.stream(&typed.agent, &typed.input));
    within(stream.await.unwrap().take(chunks).try_collect())
        .await
        .unwrap()
}

fn code(result: Result<Value, Error>) -> String {
    result.unwrap_err().code().to_string()
}

async fn echo(mut example: Example, mesh: &AgentMesh) {
    let [] = example.serves().await;
    let reply: String = within(mesh.call("echo", "hello")).await.unwrap();
    assert_eq!(reply, "Echo: hello");
    example.terminate().await;
}

async fn responder(mut example: Example, mesh: &AgentMesh) {
    let [good, heavy, far] = example.serves().await;
    let quote = call_typed(mesh, &good).await.unwrap();
    assert_eq!(quote, json!({"cents": 570, "days": 2}));
    let error = call_typed(mesh, &heavy).await.unwrap_err();
    assert_eq!(error.details()["errors"][0]["location"], "/grams");
    assert_eq!(code(call_typed(mesh, &far).await), "no_service");
    example.terminate().await;
}

async fn streamer(mut example: Example, mesh: &AgentMesh) {
    let [countdown] = example.serves().await;
    let chunks = stream_typed(mesh, &countdown, usize::MAX).await;
    assert_eq!(chunks, ["3 …", "2 …", "1 …", "lift-off!"]);
    example.terminate().await;
}

async fn trigger(mut example: Example, mesh: &AgentMesh) {
    let [status] = example.serves().await;
    let status = call_typed(mesh, &status).await.unwrap();
    assert_eq!(status["process"], example.pid());
    assert!(status["seconds_up"].is_u64(), "{status}");
    example.terminate().await;
}

async fn publisher(mut example: Example, mesh: &AgentMesh) {
    let [subscribe] = example.serves().await;
    assert_eq!(subscribe.verb, "subscribe");
    let events = within(mesh.subscribe::<Value>(&subscribe.agent)).await;
    let readings: Vec<_> = within(events.unwrap().take(2).try_collect()).await.unwrap();
    for reading in readings {
        assert!(reading.data["celsius"].is_f64(), "{reading:?}");
    }
    example.terminate().await;
}

async fn watcher(mut example: Example, mesh: &AgentMesh) {
    let [paid, declined, refused] = example.serves().await;
    assert_eq!(call_typed(mesh, &paid).await.unwrap(), "paid");
    // It may not listen yet.
    let reported = within(async {
        loop {
            assert_eq!(code(call_typed(mesh, &declined).await), "declined");
            let line = tokio::time::timeout(Duration::from_millis(200), example.line());
            if let Ok(line) = line.await {
                return line;
            }
        }
    });
    let expected = "till.charge: the card's limit is 50.00 (declined)";
    assert_eq!(reported.await, expected);
    assert_eq!(code(call_typed(mesh, &refused).await), "invalid_input");
    let mut line = example.line().await;
    while line == expected {
        line = example.line().await;
    }
    assert!(line.ends_with("(invalid_input)"), "{line}");
    example.terminate().await;
}

async fn relay(mut example: Example, mesh: &AgentMesh) {
    let [tail, redacted] = example.serves().await;
    let lines = stream_typed(mesh, &tail, 1).await;
    assert_eq!(lines, ["shop: order 1 paid, token=s3cr3t-1"]);
    let lines = stream_typed(mesh, &redacted, 2).await;
    assert_eq!(
        lines,
        [1, 2].map(|n| format!("shop: order {n} paid, token=•••"))
    );
    example.terminate().await;
}

async fn agents_with_state(mut example: Example, mesh: &AgentMesh) {
    let [open, list, close] = example.serves().await;
    let problem = "The printer is on fire";
    assert_eq!(call_typed(mesh, &open).await.unwrap(), 1);
    assert_eq!(
        call_typed(mesh, &list).await.unwrap(),
        json!({"1": problem})
    );
    assert_eq!(call_typed(mesh, &close).await.unwrap(), problem);
    assert_eq!(code(call_typed(mesh, &close).await), "no_ticket");
    example.terminate().await;
}

async fn shared_state(mut example: Example, mesh: &AgentMesh) {
    let [first, second, third, leave] = example.serves().await;
    assert_eq!(call_typed(mesh, &first).await.unwrap(), 1);
    assert_eq!(call_typed(mesh, &second).await.unwrap(), 0);
    assert_eq!(code(call_typed(mesh, &third).await), "full");
    assert_eq!(call_typed(mesh, &leave).await.unwrap(), true);
    assert_eq!(call_typed(mesh, &third).await.unwrap(), 0);
    example.terminate().await;
}

async fn call(example: Example, _: &AgentMesh) {
    let expected = [
        "asked for a rate by nobody",
        "100.00 SEK are 900 euro cents",
        "asked for a rate by counter 3",
        r#"5.00 DKK are {"cents":65,"currency":"EUR"}"#,
        "no_rate: no rate for GBP",
        r#"invalid_input: "/cents""#,
        "nobody is in",
    ];
    assert_eq!(example.ends().await, expected);
}

async fn stream(example: Example, _: &AgentMesh) {
    let lines = example.ends().await;
    let (meter, rest): (Vec<&String>, Vec<_>) =
        lines.iter().partition(|line| line.starts_with("the meter"));
    let expected = [
        "train 42: Stockholm, Norrköping, Linköping, Malmö",
        "train 13: Stockholm",
        "train 13: Norrköping",
        "train 13: broken_down (the engine gave up)",
        "the mean of 100 readings is 7049",
    ];
    assert_eq!(rest, expected);
    let reads: u32 = meter[0].split(' ').nth(4).unwrap().parse().unwrap();
    assert!((100..=110).contains(&reads), "{meter:?}");
}

async fn send(example: Example, _: &AgentMesh) {
    // Nobody waits for the journal, so that its lines come when they come.
    let mut lines = example.ends().await;
    lines.sort();
    let expected = [
        "bröd och smör",
        "jam is sylt",
        "journal: breakfast begins",
        "journal: breakfast ends",
        "unknown_word: what is 'marmalade'?",
    ];
    assert_eq!(lines, expected);
}

async fn subscribe(example: Example, _: &AgentMesh) {
    let expected = [
        r#"on the market: {"market.apples", "market.pears"}"#,
        "apples cost 120 cents",
        "apples cost 120 cents",
        "orders.apples: 2 kg",
        "orders.pears: 1 kg",
    ];
    assert_eq!(example.ends().await, expected);
}

async fn publish(example: Example, _: &AgentMesh) {
    let expected = [
        "at gate B: Parcel { number: 7, grams: 1200 }",
        "a note: mind the glass",
        "a photo of 3 bytes",
    ];
    assert_eq!(example.ends().await, expected);
}

async fn discovery(example: Example, _: &AgentMesh) {
    let expected = [
        "text.reverse: Turns a text around. #fun",
        "text.letters (stream): Streams the letters of a text.",
        "text.letters streams",
        r#"invalid_input: "/text""#,
        "2 agents can be tools",
        "text.reverse is here",
        "text.reverse has left",
    ];
    assert_eq!(example.ends().await, expected);
}

async fn shared_values(example: Example, mesh: &AgentMesh) {
    let expected = [
        "the motto: fresh every day",
        "it is there already",
        "shop.motto is fresh every day",
        r#"shop.stock is {"apples":5}"#,
        "shop.motto is gone",
    ];
    assert_eq!(example.ends().await, expected);
    assert!(mesh.kv().keys(">").await.unwrap().is_empty());
}

async fn shared_files(example: Example, mesh: &AgentMesh) {
    let expected = [
        "19 bytes of notes",
        "- buy milk",
        "- and bread",
        "all 1000000 bytes are stored",
        "the copy has 1000000 bytes",
        "data/sevens: 1000000 bytes of something",
        "notes/milk.txt: 19 bytes of text/plain",
        "and they are gone",
    ];
    assert_eq!(example.ends().await, expected);
    assert!(mesh.workspace().list("").await.unwrap().is_empty());
}
