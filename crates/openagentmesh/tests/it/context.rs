//! What a handler knows of its request, and what it does with it.

use std::time::Duration;

use crate::support::{Alive, TestMesh, within};
use futures::{Stream, TryStreamExt, stream};
use openagentmesh::{AgentSpec, Context, Error, ErrorCode, agent, agents};
use serde_json::{Value, json};

/// Tells what it knows.
#[agent]
async fn tell(ctx: Context, word: String) -> Value {
    json!({
        "word": word,
        "agent": ctx.agent().map(ToString::to_string),
        "request_id": ctx.request_id().to_string(),
        "caller": ctx.caller().map(ToString::to_string),
        "colour": ctx.header("colour"),
        "millis_left": ctx.time_left().map(|left| left.as_millis()),
        "instance": ctx.mesh().instance_id().to_string(),
    })
}

/// Adds an exclamation mark to what another agent streams.
#[agent]
fn excited(ctx: Context, to: u32) -> impl Stream<Item = Result<String, Error>> {
    stream::once(async move { ctx.mesh().stream::<u32>("count", to).await })
        .try_flatten()
        .map_ok(|n| format!("{n}!"))
}

/// Counts.
#[agent]
fn count(to: u32) -> impl Stream<Item = u32> {
    stream::iter(1..=to)
}

#[tokio::test]
async fn a_handler_knows_its_request() {
    let test = TestMesh::start().await;
    test.mesh.register(agents![tell]).await.unwrap();
    let caller = test.peer().await;
    let call = caller.call::<Value>("tell", "hi").header("Colour", "blue");
    let told = within(call.timeout(Duration::from_secs(15))).await.unwrap();
    assert_eq!(told["word"], "hi");
    assert_eq!(told["agent"], "tell");
    assert_eq!(told["request_id"].as_str().unwrap().len(), 32);
    assert_eq!(told["caller"], caller.instance_id().to_string());
    assert_eq!(told["instance"], test.mesh.instance_id().to_string());
    assert_eq!(told["colour"], "blue");
    let left = told["millis_left"].as_u64().unwrap();
    assert!((1..=15_001).contains(&left), "{left}");

    // A caller that knows no more than NATS.
    let reply = test
        .raw()
        .await
        .request("mesh.agent.tell", "\"raw\"".into())
        .await
        .unwrap();
    let told: Value = serde_json::from_slice(&reply.payload).unwrap();
    assert_eq!(told["caller"], Value::Null);
    assert_eq!(told["millis_left"], Value::Null);
}

#[tokio::test]
async fn a_function_with_a_context_is_called_without_a_request_too() {
    let test = TestMesh::start().await;
    let told = tell(Context::new(&test.mesh), "hi".to_owned()).await;
    assert_eq!(told["word"], "hi");
    assert_eq!(told["caller"], Value::Null);
}

#[tokio::test]
async fn an_agent_streams_from_another() {
    let test = TestMesh::start().await;
    test.mesh.register(agents![excited, count]).await.unwrap();
    let chunks = test
        .peer()
        .await
        .stream::<String>("excited", 3)
        .await
        .unwrap();
    let all: Vec<String> = within(chunks.try_collect()).await.unwrap();
    assert_eq!(all, ["1!", "2!", "3!"]);

    test.mesh.deregister(["count"]).await.unwrap();
    let mut chunks = test.mesh.stream::<String>("excited", 3).await.unwrap();
    let error = within(chunks.next()).await.unwrap().unwrap_err();
    assert_eq!(
        error.code(),
        &ErrorCode::HandlerError,
        "it is the agent that failed"
    );
    assert_eq!(error.details()["cause"]["code"], "not_found");
}

#[tokio::test]
async fn a_deadline_goes_on_into_the_calls_that_a_handler_makes() {
    let test = TestMesh::start().await;
    let outer =
        AgentSpec::new("outer", "Asks what time another has.").handler(|ctx: Context| async move {
            let told: Value = ctx.mesh().call("tell", "x").await?;
            Ok::<_, Error>(told["millis_left"].clone())
        });
    test.mesh.register(outer).await.unwrap();
    test.mesh.register(agents![tell]).await.unwrap();
    let call = test.mesh.call::<u64>("outer", ());
    let left = within(call.timeout(Duration::from_secs(5))).await.unwrap();
    assert!(
        left <= 5_001,
        "{left}: not the 30 s that a call has by itself"
    );
    let call = test.mesh.call::<u64>("outer", ());
    let left = within(call.timeout(Duration::from_secs(300)))
        .await
        .unwrap();
    assert!(left <= 30_001, "{left}: no more than a call has by itself");
}

/// One that is dropped takes all with it that was called for it.
#[tokio::test]
async fn cancellation_goes_down_the_line() {
    let test = TestMesh::start().await;
    let alive = Alive::default();
    let guards = alive.clone();
    let last = AgentSpec::new("last", "Never answers.").handler(move || {
        let guard = guards.guard();
        async move {
            std::future::pending::<()>().await;
            drop(guard);
        }
    });
    let middle = AgentSpec::new("middle", "Calls the last.")
        .handler(|ctx: Context| async move { ctx.mesh().call::<()>("last", ()).await });
    let first = AgentSpec::new("first", "Calls the middle.")
        .handler(|ctx: Context| async move { ctx.mesh().call::<()>("middle", ()).await });
    test.mesh.register([first, middle]).await.unwrap();
    let other = test.peer().await;
    other.register(last).await.unwrap();
    let call = tokio::spawn(test.peer().await.call::<()>("first", ()).into_future());
    alive.are(1).await;
    call.abort();
    alive.are(0).await;
}

/// A token serves what the handler has started elsewhere.
#[tokio::test]
async fn a_token_ends_what_runs_elsewhere() {
    let test = TestMesh::start().await;
    let alive = Alive::default();
    let guards = alive.clone();
    let threaded = AgentSpec::new("threaded", "Works on a thread.").handler(move |ctx: Context| {
        let guard = guards.guard();
        async move {
            let cancelled = ctx.cancellation().clone();
            let work = tokio::task::spawn_blocking(move || {
                while !cancelled.is_cancelled() {
                    std::thread::yield_now();
                }
                drop(guard);
            });
            work.await
        }
    });
    test.mesh.register(threaded).await.unwrap();
    let call = test.mesh.call::<()>("threaded", ());
    let error = within(call.timeout(Duration::from_millis(50)))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Timeout);
    alive.are(0).await;
}
