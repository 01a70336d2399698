//! The output and the agents of every example.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use openagentmesh::{AgentMesh, Error};
use openagentmesh_local::LocalServer;
use serde_json::{Value, json};

use crate::cookbook::*;
use crate::llm_tools;
use crate::support::{Example, PrintedCommand, within_deadline};

/// Defines one test per example, which starts the example and calls the function of the same name.
macro_rules! run {
    ($($name:ident),+ $(,)?) => {
        const EXAMPLES: &[&str] = &[$(stringify!($name)),+];

        mod example {
            use super::*;

            $(#[tokio::test]
            async fn $name() {
                let server = LocalServer::start().await.unwrap();
                let mesh = AgentMesh::connect(server.url()).await.unwrap();
                let example = Example::start(stringify!($name), server.url());
                super::$name(example, &mesh).await;
                let listed = mesh.catalog().fresh().await.unwrap();
                assert!(listed.is_empty(), "still listed: {listed:?}");
            })+
        }
    };
}

run![
    agents_with_state,
    album,
    approval,
    bookings,
    call,
    discovery,
    echo,
    embedder,
    fan_out,
    index,
    pipeline,
    plan_worker,
    planner,
    publish,
    publisher,
    quotes,
    relay,
    responder,
    send,
    shared_files,
    shared_state,
    shared_values,
    stream,
    streamer,
    subscribe,
    summarize,
    text_tools,
    tool_selection,
    trigger,
    watcher,
    worker,
];

#[test]
fn every_example_file_has_a_test() {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).read_dir().unwrap();
    let examples: BTreeSet<String> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let tested = EXAMPLES.iter().chain(&[llm_tools::EXAMPLE]);
    let tested: BTreeSet<String> = tested.map(|&name| name.to_owned()).collect();
    assert_eq!(examples, tested);
}

/// Runs the printed command `oam agent call …`.
pub(crate) async fn run_call(mesh: &AgentMesh, command: &PrintedCommand) -> Result<Value, Error> {
    assert_eq!(command.verb, "call");
    within_deadline(mesh.call(&command.agent, &command.input)).await
}

/// Runs the printed command `oam agent stream …`, and returns at most `chunks` chunks.
async fn run_stream(mesh: &AgentMesh, command: &PrintedCommand, chunks: usize) -> Vec<String> {
    assert_eq!(command.verb, "stream");
    let stream = within_deadline(mesh.stream(&command.agent, &command.input));
    within_deadline(stream.await.unwrap().take(chunks).try_collect())
        .await
        .unwrap()
}

pub(crate) fn code(result: Result<Value, Error>) -> String {
    result.unwrap_err().code().to_string()
}

async fn echo(mut example: Example, mesh: &AgentMesh) {
    let [] = example.until_serving(mesh).await;
    let reply: String = within_deadline(mesh.call("echo", "hello")).await.unwrap();
    assert_eq!(reply, "Echo: hello");
    example.terminate().await;
}

async fn responder(mut example: Example, mesh: &AgentMesh) {
    let [good, heavy, far] = example.until_serving(mesh).await;
    let quote = run_call(mesh, &good).await.unwrap();
    assert_eq!(quote, json!({"cents": 570, "days": 2}));
    let error = run_call(mesh, &heavy).await.unwrap_err();
    assert_eq!(error.details()["errors"][0]["location"], "/grams");
    assert_eq!(code(run_call(mesh, &far).await), "no_service");
    example.terminate().await;
}

async fn streamer(mut example: Example, mesh: &AgentMesh) {
    let [countdown] = example.until_serving(mesh).await;
    let chunks = run_stream(mesh, &countdown, usize::MAX).await;
    assert_eq!(chunks, ["3 …", "2 …", "1 …", "lift-off!"]);
    example.terminate().await;
}

async fn trigger(mut example: Example, mesh: &AgentMesh) {
    let [status] = example.until_serving(mesh).await;
    let status = run_call(mesh, &status).await.unwrap();
    assert_eq!(status["process"], example.pid());
    assert!(status["seconds_up"].is_u64(), "{status}");
    example.terminate().await;
}

async fn publisher(mut example: Example, mesh: &AgentMesh) {
    let [subscribe] = example.until_serving(mesh).await;
    assert_eq!(subscribe.verb, "subscribe");
    let events = within_deadline(mesh.subscribe::<Value>(&subscribe.agent)).await;
    let readings: Vec<_> = within_deadline(events.unwrap().take(2).try_collect())
        .await
        .unwrap();
    for reading in readings {
        assert!(reading.data["celsius"].is_f64(), "{reading:?}");
    }
    example.terminate().await;
}

async fn watcher(mut example: Example, mesh: &AgentMesh) {
    let [paid, declined, refused] = example.until_serving(mesh).await;
    assert_eq!(run_call(mesh, &paid).await.unwrap(), "paid");
    // The watcher may not have subscribed yet.
    let reported = within_deadline(async {
        loop {
            assert_eq!(code(run_call(mesh, &declined).await), "declined");
            let line = tokio::time::timeout(Duration::from_millis(200), example.line());
            if let Ok(line) = line.await {
                return line;
            }
        }
    });
    let expected = "till.charge: the card's limit is 50.00 (declined)";
    assert_eq!(reported.await, expected);
    assert_eq!(code(run_call(mesh, &refused).await), "invalid_input");
    let mut line = example.line().await;
    while line == expected {
        line = example.line().await;
    }
    assert!(line.ends_with("(invalid_input)"), "{line}");
    example.terminate().await;
}

async fn relay(mut example: Example, mesh: &AgentMesh) {
    let [tail, redacted] = example.until_serving(mesh).await;
    let lines = run_stream(mesh, &tail, 1).await;
    assert_eq!(lines, ["shop: order 1 paid, token=s3cr3t-1"]);
    let lines = run_stream(mesh, &redacted, 2).await;
    assert_eq!(
        lines,
        [1, 2].map(|n| format!("shop: order {n} paid, token=•••"))
    );
    example.terminate().await;
}

async fn agents_with_state(mut example: Example, mesh: &AgentMesh) {
    let [open, list, close] = example.until_serving(mesh).await;
    let problem = "The printer is on fire";
    assert_eq!(run_call(mesh, &open).await.unwrap(), 1);
    assert_eq!(run_call(mesh, &list).await.unwrap(), json!({"1": problem}));
    assert_eq!(run_call(mesh, &close).await.unwrap(), problem);
    assert_eq!(code(run_call(mesh, &close).await), "no_ticket");
    example.terminate().await;
}

async fn shared_state(mut example: Example, mesh: &AgentMesh) {
    let [first, second, third, leave] = example.until_serving(mesh).await;
    assert_eq!(run_call(mesh, &first).await.unwrap(), 1);
    assert_eq!(run_call(mesh, &second).await.unwrap(), 0);
    assert_eq!(code(run_call(mesh, &third).await), "full");
    assert_eq!(run_call(mesh, &leave).await.unwrap(), true);
    assert_eq!(run_call(mesh, &third).await.unwrap(), 0);
    example.terminate().await;
}

async fn call(example: Example, _: &AgentMesh) {
    let expected = [
        "rate requested by an unknown desk",
        "100.00 SEK are 900 euro cents",
        "rate requested by counter 3",
        r#"5.00 DKK are {"cents":65,"currency":"EUR"}"#,
        "no_rate: no rate for GBP",
        r#"invalid_input: "/cents""#,
        "no approval in time",
    ];
    assert_eq!(example.output().await, expected);
}

async fn fan_out(example: Example, _: &AgentMesh) {
    let expected = [
        "3 words, apples for 130 cents",
        "shops.north: pears for 120 cents",
        "shops.south: pears for 130 cents",
        "shops.west: the shop is closed",
        "the fastest shop offers plums for 130 cents",
        "words of each text: [2, 1, 3, 1]",
    ];
    assert_eq!(example.output().await, expected);
}

async fn stream(example: Example, _: &AgentMesh) {
    let lines = example.output().await;
    let (meter, rest): (Vec<&String>, Vec<_>) =
        lines.iter().partition(|line| line.starts_with("the meter"));
    let expected = [
        "train 42: Stockholm, Norrköping, Linköping, Malmö",
        "train 13: Stockholm",
        "train 13: Norrköping",
        "train 13: broken_down (the engine failed)",
        "the mean of 100 readings is 7049",
    ];
    assert_eq!(rest, expected);
    let reads: u32 = meter[0].split(' ').nth(4).unwrap().parse().unwrap();
    assert!((100..=110).contains(&reads), "{meter:?}");
}

async fn send(example: Example, _: &AgentMesh) {
    // The lines of the journal arrive in any order.
    let mut lines = example.output().await;
    lines.sort();
    let expected = [
        "bröd och smör",
        "jam is sylt",
        "journal: breakfast begins",
        "journal: breakfast ends",
        "unknown_word: no translation of 'marmalade'",
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
    assert_eq!(example.output().await, expected);
}

async fn publish(example: Example, _: &AgentMesh) {
    let expected = [
        "at gate B: Parcel { number: 7, grams: 1200 }",
        "a note: mind the glass",
        "a photo of 3 bytes",
    ];
    assert_eq!(example.output().await, expected);
}

async fn discovery(example: Example, _: &AgentMesh) {
    let expected = [
        "text.reverse: Reverses a text. #fun",
        "text.letters (stream): Streams the letters of a text.",
        "text.letters streams",
        r#"invalid_input: "/text""#,
        "2 agents can be tools",
        "text.reverse is listed",
        "text.reverse is removed",
    ];
    assert_eq!(example.output().await, expected);
}

async fn shared_values(example: Example, mesh: &AgentMesh) {
    let expected = [
        "the motto: fresh every day",
        "the stock already exists",
        "shop.motto is fresh every day",
        r#"shop.stock is {"apples":5}"#,
        "shop.motto is deleted",
    ];
    assert_eq!(example.output().await, expected);
    assert!(mesh.kv().keys(">").await.unwrap().is_empty());
}

async fn shared_files(example: Example, mesh: &AgentMesh) {
    let expected = [
        "19 bytes of notes",
        "- buy milk",
        "- and bread",
        "all 1000000 bytes are stored",
        "the copy has 1000000 bytes",
        "data/sevens: 1000000 bytes of unknown type",
        "notes/milk.txt: 19 bytes of text/plain",
        "data/sevens is deleted",
    ];
    assert_eq!(example.output().await, expected);
    assert!(mesh.workspace().list("").await.unwrap().is_empty());
}
