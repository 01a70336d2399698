//! Commands whose NATS client dies on a message: they go on, and print no backtrace.

use std::time::Duration;

use futures::{Stream, stream};
use openagentmesh::{AgentMesh, agent, agents};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::support::{TestMesh, within_deadline};

/// Publishes a number every 20 ms.
#[agent(channel = "news")]
fn ticker() -> impl Stream<Item = u64> {
    let interval = tokio::time::interval(Duration::from_millis(20));
    stream::unfold((interval, 0), |(mut interval, number)| async move {
        interval.tick().await;
        Some((number, (interval, number + 1)))
    })
}

/// Never replies.
#[agent]
async fn silent() -> u32 {
    std::future::pending().await
}

/// Echoes a message back.
#[agent]
async fn echo(message: String) -> String {
    message
}

/// Publishes a message with a bare carriage return in a header, on which the client panics.
async fn poison(mesh: &TestMesh, subject: &str) {
    const HEADERS: &str = "NATS/1.0\r\nX: a\rb\r\n\r\n";
    let address = mesh.url.trim_start_matches("nats://");
    let (reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    let size = HEADERS.len();
    let message = format!(
        "CONNECT {{\"headers\":true,\"verbose\":false}}\r\nHPUB {subject} {size} {size}\r\n{HEADERS}\r\nPING\r\n"
    );
    writer.write_all(message.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(reader).lines();
    let answered = async { while lines.next_line().await.unwrap().unwrap() != "PONG" {} };
    within_deadline("answer of the server", answered).await;
}

fn assert_no_backtrace(stderr: &str) {
    for word in ["panicked", "backtrace", "RUST_BACKTRACE"] {
        assert!(!stderr.contains(word), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscription_of_a_dead_client_goes_on() {
    let mesh = TestMesh::start(agents![ticker, echo]).await;
    let mut events = mesh.start_oam(&["agent", "subscribe", "news.ticker"]);
    let first: u64 = events.line().await.unwrap().parse().unwrap();
    poison(&mesh, "mesh.agent.news.ticker.events").await;
    while events.line().await.unwrap().parse::<u64>().unwrap() < first + 100 {}
    events.signal("-INT");
    let (_, stderr) = events.end().await;
    assert_no_backtrace(&stderr);
    let called = mesh.oam(&["agent", "call", "echo", "\"x\""]);
    assert_eq!(called.stdout.trim(), "\"x\"", "{}", called.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_whose_client_dies_fails_at_once() {
    let mesh = TestMesh::start(agents![silent]).await;
    let raw = async_nats::connect(&mesh.url).await.unwrap();
    let mut requests = raw.subscribe("mesh.agent.silent").await.unwrap();
    raw.flush().await.unwrap();
    let mut call = mesh.start_oam(&["agent", "call", "silent"]);
    let request = futures::StreamExt::next(&mut requests);
    let request = within_deadline("request", request).await.unwrap();
    drop((requests, raw));
    poison(&mesh, &request.reply.unwrap()).await;
    let (status, stderr) = call.end().await;
    assert_ne!(status.code(), Some(0));
    assert!(
        stderr.contains("connection to the mesh was lost"),
        "{stderr}"
    );
    assert_no_backtrace(&stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn catalog_watch_of_a_dead_client_goes_on() {
    let mesh = TestMesh::start(agents![ticker]).await;
    let raw = async_nats::connect(&mesh.url).await.unwrap();
    let jetstream = async_nats::jetstream::new(raw.clone());
    let stream = jetstream.get_stream("KV_mesh-catalog").await.unwrap();
    let consumers = async || -> Vec<String> {
        let names = futures::TryStreamExt::try_collect(stream.consumer_names());
        names.await.unwrap()
    };
    let before = consumers().await;
    let mut watch = mesh.start_oam(&["mesh", "catalog", "--watch", "--channel", "news"]);
    assert!(watch.line().await.unwrap().contains("news.ticker"));
    // The consumer of the watch delivers to a subject that only the server knows otherwise. It may be created after the
    // catalog was read.
    let own = within_deadline("consumer of the watch", async {
        loop {
            let mut names = consumers().await.into_iter();
            if let Some(own) = names.find(|name| !before.contains(name)) {
                return own;
            }
        }
    });
    let consumer: async_nats::jetstream::consumer::PushConsumer =
        stream.get_consumer(&own.await).await.unwrap();
    let subject = consumer.cached_info().config.deliver_subject.clone();
    poison(&mesh, &subject.unwrap()).await;
    let other = AgentMesh::connect(&mesh.url).await.unwrap();
    let again =
        openagentmesh::AgentSpec::new("news.again", "Is added.").handler(|()| async { 1_u32 });
    other.register(again).await.unwrap();
    assert!(watch.line().await.unwrap().contains("news.again"));
    watch.signal("-INT");
    let (_, stderr) = watch.end().await;
    assert_no_backtrace(&stderr);
}
