//! Every shape with every verb: a mismatched verb is an error that names the right one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{TestMesh, echo, within};
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

/// Replies with the answer.
#[agent(name = "trigger")]
async fn answer() -> u32 {
    42
}

/// Publishes the same number without end.
#[agent(name = "publisher")]
fn sevens() -> impl Stream<Item = u32> {
    stream::repeat(7).then(|n| async move {
        tokio::task::yield_now().await;
        n
    })
}

/// Publishes on another subject while it runs.
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
    let spec = |name| AgentSpec::new(name, "A closure.");
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

    /// Replies with the answer.
    #[agent]
    async fn trigger(self: Arc<Self>) -> u32 {
        self.answers.fetch_add(1, Ordering::Relaxed);
        21 * self.factor
    }

    /// Publishes the same number without end.
    #[agent]
    fn publisher(&self, _: Context) -> impl Stream<Item = u32> {
        sevens().map(|n| n * self.factor / 2)
    }

    /// Publishes on another subject while it runs.
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
async fn each_shape_answers_its_verb() {
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
        assert!(none.is_empty(), "an empty stream has a chunk");

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

/// Starts a request with `verb`. Replies of `send`, chunks and events are not awaited.
async fn invoke(mesh: &Client, verb: &str, name: &str) -> Result<(), Error> {
    match verb {
        "call" => within(mesh.call::<Value>(name, 1)).await.map(drop),
        "send" => within(mesh.send(name, 1)).await,
        "stream" => within(mesh.stream::<Value>(name, 1)).await.map(drop),
        _ => within(mesh.subscribe::<Value>(name)).await.map(drop),
    }
}

/// Verb, shape, a part of the message, and the verb to use instead.
const MISMATCHES: &[(&str, &str, &str, Option<&str>)] = &[
    ("stream", "responder", "call()", Some("call")),
    ("stream", "trigger", "call()", Some("call")),
    ("subscribe", "responder", "call()", Some("call")),
    ("subscribe", "trigger", "call()", Some("call")),
    ("call", "streamer", "stream()", Some("stream")),
    ("send", "streamer", "stream()", Some("stream")),
    ("subscribe", "streamer", "stream()", Some("stream")),
    ("call", "publisher", "subscribe()", Some("subscribe")),
    ("send", "publisher", "subscribe()", Some("subscribe")),
    ("stream", "publisher", "subscribe()", Some("subscribe")),
    ("call", "watcher", "background", None),
    ("send", "watcher", "background", None),
    ("stream", "watcher", "background", None),
    ("subscribe", "watcher", "background", None),
];

#[tokio::test]
async fn mismatched_verb_is_refused_before_anything_is_sent() {
    let test = TestMesh::start().await;
    test.mesh.register(from_functions()).await.unwrap();
    let caller = test.peer().await;
    let raw = test.raw().await;
    let mut requests = Vec::new();
    for name in ["responder", "streamer", "trigger", "publisher", "watcher"] {
        requests.push(crate::support::subscribed(&raw, &format!("mesh.agent.{name}")).await);
    }
    for (verb, name, message, fitting) in MISMATCHES {
        let error = invoke(&caller, verb, name).await.unwrap_err();
        assert_eq!(
            error.code(),
            &ErrorCode::InvocationMismatch,
            "{verb} {name}"
        );
        assert!(error.message().contains(message), "{verb} {name}: {error}");
        assert!(error.message().contains(name), "{error}");
        assert_eq!(error.details().get("use").and_then(Value::as_str), *fitting);
    }
    // This message is the first one to arrive, so none was sent before it.
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
async fn mismatched_verb_of_a_plain_client_is_refused_by_the_host() {
    for (test, _) in each_mesh().await {
        let raw = test.raw().await;
        for (verb, name, message, _) in MISMATCHES {
            // A call and a send look the same to a host.
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
async fn unknown_agent_is_not_found_by_any_verb() {
    let test = TestMesh::start().await;
    assert_eq!(
        invoke(&test.mesh, "call", "nosuch")
            .await
            .unwrap_err()
            .code(),
        &ErrorCode::NotFound
    );
    assert_eq!(
        invoke(&test.mesh, "subscribe", "nosuch")
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
        let error = invoke(&test.mesh, verb, "no spaces").await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::InvalidInput, "{verb}");
    }
}

#[tokio::test]
async fn similar_names_are_suggested_by_every_verb() {
    let test = TestMesh::start().await;
    let price = AgentSpec::new("shop.price", "Prices.").handler(|n: u32| async move { n });
    test.mesh.register((price, echo())).await.unwrap();
    let mesh = test.peer().await;
    within(mesh.wait_for("shop.price")).await.unwrap();

    for name in ["shop.prise", "Shop.Price", "price"] {
        let call = within(mesh.call::<u32>(name, 1)).await.unwrap_err();
        let stream = within(mesh.stream::<u32>(name, 1)).await.unwrap();
        let stream = within(stream.try_collect::<Vec<_>>()).await.unwrap_err();
        let subscribe = within(mesh.subscribe::<u32>(name)).await.err().unwrap();
        let contract = within(mesh.contract(name)).await.unwrap_err();
        for error in [call, stream, subscribe, contract] {
            assert_eq!(error.code(), &ErrorCode::NotFound);
            let expected =
                format!("agent '{name}' not found on this mesh; similar names: 'shop.price'");
            assert_eq!(error.message(), expected);
            assert_eq!(
                error.details()["similar"],
                serde_json::json!(["shop.price"])
            );
        }
    }
    let error = within(mesh.call::<u32>("ghost", 1)).await.unwrap_err();
    assert_eq!(error.message(), "agent 'ghost' not found on this mesh");
    assert_eq!(error.details().get("similar"), None);
}
