//! `oam mesh catalog`: the agents there are, those that are asked for, and those that come and go.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::Served;
use futures::{Stream, stream};
use openagentmesh::{AgentMesh, agent, agents};
use serde_json::{Value, json};

/// Echoes a message back. Nothing else.
#[agent]
async fn echo(message: String) -> String {
    message
}

/// Counts to a number.
#[agent(channel = "math", tags = ["numbers", "slow"])]
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

async fn served() -> Served {
    Served::start(agents![echo, counter, ticker, keeper]).await
}

/// The names that a catalog as JSON lists.
fn names(json: &str) -> Vec<String> {
    let entries: Vec<Value> = serde_json::from_str(json).unwrap();
    let names = entries.iter().map(|entry| entry["name"].as_str().unwrap());
    names.map(str::to_owned).collect()
}

/// Changes descriptions in the catalog, as a host with a newer version of an agent does.
async fn describe_anew(served: &Served, before: &str, after: &str) {
    let raw = async_nats::connect(&served.url).await.unwrap();
    let jetstream = async_nats::jetstream::new(raw);
    let catalog = jetstream.get_key_value("mesh-catalog").await.unwrap();
    let entry = catalog.entry("catalog").await.unwrap().unwrap();
    let changed = str::from_utf8(&entry.value).unwrap().replace(before, after);
    catalog
        .update("catalog", changed.into(), entry.revision)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_are_asked_for_by_what_they_do() {
    let served = served().await;
    for (filters, expected) in [
        (
            &[][..],
            &["echo", "keeper", "math.counter", "news.ticker"][..],
        ),
        (&["--streaming"], &["math.counter", "news.ticker"]),
        (&["--streaming=false"], &["echo", "keeper"]),
        (&["--invocable=true"], &["echo", "math.counter"]),
        (&["--invocable=false"], &["keeper", "news.ticker"]),
        (&["--invocable", "--streaming"], &["math.counter"]),
        (&["--tag", "slow", "--tag", "numbers"], &["math.counter"]),
        (&["--tag", "slow", "--tag", "fast"], &[]),
        (&["--streaming", "--channel", "news"], &["news.ticker"]),
    ] {
        let ran = served.oam(&[&["mesh", "catalog", "--json"], filters].concat());
        assert_eq!(ran.code, 0, "{filters:?}: {ran:?}");
        assert_eq!(names(&ran.stdout), expected, "{filters:?}");
    }
    for (filters, expected) in [
        (
            &["--streaming=perhaps"][..],
            "[possible values: true, false]",
        ),
        (&["--streaming", "false"], "unexpected argument 'false'"),
        (&["--compact", "--json"], "cannot be used with '--json'"),
    ] {
        let ran = served.oam(&[&["mesh", "catalog"], filters].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{filters:?}");
        assert!(ran.stderr.contains(expected), "{filters:?}: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_reads_each_agent_on_one_line() {
    let served = served().await;
    let ran = served.oam(&["mesh", "catalog", "--compact"]);
    insta::assert_snapshot!(ran.stdout, @r"
    echo: Echoes a message back.
    keeper (background): Does nothing.
    math.counter (stream): Counts to a number. #numbers #slow
    news.ticker (subscribe): Publishes nothing.
    ");
    let ran = served.oam(&["mesh", "catalog", "--compact", "--tag", "nosuch"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert!(ran.stderr.contains("none of the 4 agents"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_sees_agents_come_change_and_go() {
    let served = Served::start(agents![ticker]).await;
    let mut people = served.start_oam(&["mesh", "catalog", "--watch", "--invocable"]);
    let mut programs = served.start_oam(&["mesh", "catalog", "--watch", "--invocable", "--json"]);
    let mut models = served.start_oam(&[
        "mesh",
        "catalog",
        "--watch",
        "--compact",
        "--channel",
        "news",
    ]);
    assert_eq!(
        models.line().await.unwrap(),
        "+ news.ticker (subscribe): Publishes nothing."
    );

    // A connection of its own: as far as the mesh can tell, another process.
    let other = AgentMesh::connect(&served.url).await.unwrap();
    other.register(agents![echo]).await.unwrap();
    let added = "+ echo  Echoes a message back. Nothing else.";
    assert_eq!(people.line().await.unwrap(), added);
    describe_anew(&served, "Echoes a message", "Echoes, and\\nchanges").await;
    let changed = "~ echo  Echoes, and\\nchanges back. Nothing else.";
    assert_eq!(people.line().await.unwrap(), changed);
    other.shutdown().await.unwrap();
    assert_eq!(people.line().await.unwrap(), "- echo");

    let first: Value = serde_json::from_str(&programs.line().await.unwrap()).unwrap();
    assert_eq!(
        first,
        json!({"change": "added", "agent": {
            "name": "echo", "description": "Echoes a message back. Nothing else.",
            "version": "0.1.0", "tags": [], "invocable": true, "streaming": false,
        }})
    );
    let changed: Value = serde_json::from_str(&programs.line().await.unwrap()).unwrap();
    assert_eq!(changed["change"], "changed");
    assert!(
        programs
            .line()
            .await
            .unwrap()
            .starts_with("{\"change\":\"removed\"")
    );

    for (running, signal) in [(&mut people, "-INT"), (&mut programs, "-TERM")] {
        running.signal(signal);
        let (status, stderr) = running.end().await;
        assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
    }
    models.stop_reading();
    let (status, stderr) = models.end().await;
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}
