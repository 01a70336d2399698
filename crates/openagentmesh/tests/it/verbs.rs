//! Every shape with every verb: what fits works, what does not says what does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{TestMesh, within};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use openagentmesh::{
    Agent, AgentMesh, AgentSpec, Client, Context, Error, ErrorCode, agent, agents,
};
use serde_json::Value;

/// Doubles a number.
#[agent(name = "responder")]
async fn double(n: u32) -> u32 {
    n * 2
}

/// Counts up to a number.
#[agent(name = "streamer")]
fn count(to: u32) -> impl Stream<Item = u32> {
    stream::iter(1..=to)
}

/// Tells the answer.
#[agent(name = "trigger")]
async fn answer() -> u32 {
    42
}

/// Publishes the same number for ever.
#[agent(name = "publisher")]
fn sevens() -> impl Stream<Item = u32> {
    stream::repeat(7).then(|n| async move {
        tokio::task::yield_now().await;
        n
    })
}

/// Tells another subject that it runs.
#[agent(name = "watcher")]
async fn watch(ctx: Context) -> Result<(), Error> {
    loop {
        ctx.mesh().publish("watched", true).await?;
        tokio::task::yield_now().await;
    }
}

fn from_functions() -> Vec<Agent> {
    agents![double, count, answer, sevens, watch].into()
}

fn from_closures() -> Vec<Agent> {
    let spec = |name| AgentSpec::new(name, "Is made of a closure.");
    vec![
        spec("responder").handler(|_: Context, n: u32| async move { n * 2 }),
        spec("streamer").handler(|_: Context, to: u32| stream::iter(1..=to)),
        spec("trigger").handler(|_: Context| async { 42 }),
        spec("publisher").handler(|_: Context| sevens()),
        spec("watcher").watcher(watch),
    ]
}

struct Desk {
    factor: u32,
    answers: AtomicUsize,
}

#[agent]
impl Desk {
    /// Doubles a number.
    #[agent]
    async fn responder(&self, n: u32) -> u32 {
        n * self.factor
    }

    /// Counts up to a number.
    #[agent]
    fn streamer(&self, to: u32) -> impl Stream<Item = u32> {
        stream::iter(1..=to).map(|n| n * self.factor / 2)
    }

    /// Tells the answer.
    #[agent]
    async fn trigger(self: Arc<Self>) -> u32 {
        self.answers.fetch_add(1, Ordering::Relaxed);
        21 * self.factor
    }

    /// Publishes the same number for ever.
    #[agent]
    fn publisher(&self, _: Context) -> impl Stream<Item = u32> {
        sevens().map(|n| n * self.factor / 2)
    }

    /// Tells another subject that it runs.
    #[agent]
    async fn watcher(&self, ctx: Context) -> Result<(), Error> {
        watch(ctx).await
    }
}

fn from_methods() -> Vec<Agent> {
    Desk::agents(Desk {
        factor: 2,
        answers: AtomicUsize::new(0),
    })
}

/// A mesh with one agent of each shape, and a caller on a connection of its own.
async fn each_mesh() -> Vec<(TestMesh, AgentMesh)> {
    let mut meshes = Vec::new();
    for agents in [from_functions(), from_closures(), from_methods()] {
        let test = TestMesh::start().await;
        test.mesh.register(agents).await.unwrap();
        let caller = test.peer().await;
        meshes.push((test, caller));
    }
    meshes
}

#[tokio::test]
async fn each_shape_answers_the_verb_that_fits() {
    for (_test, mesh) in each_mesh().await {
        assert_eq!(within(mesh.call::<u32>("responder", 4)).await.unwrap(), 8);
        assert_eq!(
            within(mesh.call::<Value>("responder", 4)).await.unwrap(),
            8,
            "untyped"
        );
        assert_eq!(within(mesh.call::<u32>("trigger", ())).await.unwrap(), 42);

        let chunks = within(mesh.stream::<u32>("streamer", 5)).await.unwrap();
        let all: Vec<u32> = within(chunks.try_collect()).await.unwrap();
        assert_eq!(all, [1, 2, 3, 4, 5]);
        let chunks = within(mesh.stream::<Value>("streamer", 0)).await.unwrap();
        let none: Vec<Value> = within(chunks.try_collect()).await.unwrap();
        assert!(none.is_empty(), "a stream of nothing ends at once");

        let reply = within(mesh.send("responder", 4).reply::<u32>())
            .await
            .unwrap();
        assert_eq!(within(reply).await.unwrap(), 8);

        let mut events = within(mesh.subscribe::<u32>("publisher")).await.unwrap();
        for _ in 0..3 {
            let event = within(events.next()).await.unwrap().unwrap();
            assert_eq!(event.data, 7);
            assert_eq!(event.agent().unwrap().as_str(), "publisher");
            assert_eq!(event.subject(), "mesh.agent.publisher.events");
        }
        let mut watched = within(mesh.subscribe_subject::<bool>("watched"))
            .await
            .unwrap();
        assert!(within(watched.next()).await.unwrap().unwrap().data);
    }
}

/// What comes of each verb, without waiting for what does not come.
async fn talk(mesh: &Client, verb: &str, name: &str) -> Result<(), Error> {
    match verb {
        "call" => within(mesh.call::<Value>(name, 1)).await.map(drop),
        "send" => within(mesh.send(name, 1)).await,
        "stream" => within(mesh.stream::<Value>(name, 1)).await.map(drop),
        _ => within(mesh.subscribe::<Value>(name)).await.map(drop),
    }
}

/// Verb and shape, and what is said of them.
const MISMATCHES: &[(&str, &str, &str, Option<&str>)] = &[
    (
        "stream",
        "responder",
        "gives one reply: use call() instead of stream()",
        Some("call"),
    ),
    (
        "stream",
        "trigger",
        "gives one reply: use call()",
        Some("call"),
    ),
    (
        "subscribe",
        "responder",
        "publishes no events: use call()",
        Some("call"),
    ),
    (
        "subscribe",
        "trigger",
        "publishes no events: use call()",
        Some("call"),
    ),
    (
        "call",
        "streamer",
        "streams its reply: use stream() instead of call()",
        Some("stream"),
    ),
    (
        "send",
        "streamer",
        "streams its reply: use stream()",
        Some("stream"),
    ),
    (
        "subscribe",
        "streamer",
        "publishes no events: use stream()",
        Some("stream"),
    ),
    (
        "call",
        "publisher",
        "publishes events: use subscribe()",
        Some("subscribe"),
    ),
    (
        "send",
        "publisher",
        "publishes events: use subscribe()",
        Some("subscribe"),
    ),
    (
        "stream",
        "publisher",
        "publishes events: use subscribe()",
        Some("subscribe"),
    ),
    ("call", "watcher", "runs in the background", None),
    ("send", "watcher", "runs in the background", None),
    ("stream", "watcher", "runs in the background", None),
    ("subscribe", "watcher", "runs in the background", None),
];

#[tokio::test]
async fn a_verb_that_does_not_fit_is_refused_before_anything_is_sent() {
    let test = TestMesh::start().await;
    test.mesh.register(from_functions()).await.unwrap();
    let caller = test.peer().await;
    let raw = test.raw().await;
    let mut requests = Vec::new();
    for name in ["responder", "streamer", "trigger", "publisher", "watcher"] {
        requests.push(crate::support::subscribed(&raw, &format!("mesh.agent.{name}")).await);
    }
    for (verb, name, message, fitting) in MISMATCHES {
        let error = talk(&caller, verb, name).await.unwrap_err();
        assert_eq!(
            error.code(),
            &ErrorCode::InvocationMismatch,
            "{verb} {name}"
        );
        assert!(error.message().contains(message), "{verb} {name}: {error}");
        assert!(error.message().contains(name), "{error}");
        assert_eq!(error.details().get("use").and_then(Value::as_str), *fitting);
    }
    // Behind everything that could have been sent comes this, which is the first to arrive.
    for (subscription, name) in
        requests
            .iter_mut()
            .zip(["responder", "streamer", "trigger", "publisher", "watcher"])
    {
        caller
            .publish(format!("mesh.agent.{name}"), "mark")
            .await
            .unwrap();
        let first = within(subscription.next()).await.unwrap();
        assert_eq!(&first.payload[..], b"\"mark\"", "{name}");
    }
}

#[tokio::test]
async fn a_host_refuses_a_verb_that_does_not_fit_whatever_its_caller_checked() {
    for (test, _) in each_mesh().await {
        let raw = test.raw().await;
        for (verb, name, message, _) in MISMATCHES {
            // Only a call and a stream look different to a host.
            let reply = match *verb {
                "call" => within(raw.request(format!("mesh.agent.{name}"), "1".into()))
                    .await
                    .unwrap(),
                "stream" => {
                    let mut chunks = crate::support::subscribed(&raw, "mesh.stream.abc").await;
                    let mut headers = async_nats::HeaderMap::new();
                    headers.insert("X-Mesh-Request-Id", "abc");
                    headers.insert("X-Mesh-Stream", "true");
                    raw.publish_with_headers(format!("mesh.agent.{name}"), headers, "1".into())
                        .await
                        .unwrap();
                    let reply = within(chunks.next()).await.unwrap();
                    let end = reply.headers.as_ref().unwrap().get("X-Mesh-Stream-End");
                    assert_eq!(end.unwrap().as_str(), "true");
                    reply
                }
                _ => continue,
            };
            let object: Value = serde_json::from_slice(&reply.payload).unwrap();
            assert_eq!(object["code"], "invocation_mismatch", "{verb} {name}");
            assert!(
                object["message"].as_str().unwrap().contains(message),
                "{object}"
            );
        }
    }
}

#[tokio::test]
async fn a_name_that_nobody_has_is_not_found_by_any_verb() {
    let test = TestMesh::start().await;
    assert_eq!(
        talk(&test.mesh, "call", "nosuch").await.unwrap_err().code(),
        &ErrorCode::NotFound
    );
    assert_eq!(
        talk(&test.mesh, "subscribe", "nosuch")
            .await
            .unwrap_err()
            .code(),
        &ErrorCode::NotFound
    );
    let mut chunks = within(test.mesh.stream::<Value>("nosuch", ()))
        .await
        .unwrap();
    let error = within(chunks.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotFound);
    assert!(within(chunks.next()).await.is_none());
    let reply = within(test.mesh.send("nosuch", ()).reply::<Value>())
        .await
        .unwrap();
    let error = within(reply).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotFound);
    for verb in ["call", "send", "stream", "subscribe"] {
        let error = talk(&test.mesh, verb, "no spaces").await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::InvalidInput, "{verb}");
    }
}
