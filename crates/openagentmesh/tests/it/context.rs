//! The context of a request: its metadata, its deadline, its cancellation.

use std::time::Duration;

use crate::support::{Alive, TestMesh, within};
use futures::{Stream, TryStreamExt, stream};
use openagentmesh::protocol::Usage;
use openagentmesh::{AgentSpec, Context, Error, ErrorCode, agent, agents};
use serde_json::{Value, json};

/// Replies with the metadata of its request.
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
async fn context_of_a_request_has_its_metadata() {
    let test = TestMesh::start().await;
    test.mesh.register(agents![tell]).await.unwrap();
    let caller = test.peer().await;
    let call = caller.call::<Value>("tell", "hi").header("Colour", "blue");
    let metadata = within(call.timeout(Duration::from_secs(15))).await.unwrap();
    assert_eq!(metadata["word"], "hi");
    assert_eq!(metadata["agent"], "tell");
    assert_eq!(metadata["request_id"].as_str().unwrap().len(), 32);
    assert_eq!(metadata["caller"], caller.instance_id().to_string());
    assert_eq!(metadata["instance"], test.mesh.instance_id().to_string());
    assert_eq!(metadata["colour"], "blue");
    let left = metadata["millis_left"].as_u64().unwrap();
    assert!((1..=15_001).contains(&left), "{left}");

    // A plain NATS client.
    let reply = test
        .raw()
        .await
        .request("mesh.agent.tell", "\"raw\"".into())
        .await
        .unwrap();
    let metadata: Value = serde_json::from_slice(&reply.payload).unwrap();
    assert_eq!(metadata["caller"], Value::Null);
    assert_eq!(metadata["millis_left"], Value::Null);
}

#[tokio::test]
async fn context_without_a_request_has_no_caller() {
    let test = TestMesh::start().await;
    let metadata = tell(Context::new(&test.mesh), "hi".to_owned()).await;
    assert_eq!(metadata["word"], "hi");
    assert_eq!(metadata["caller"], Value::Null);
}

#[tokio::test]
async fn agent_that_streams_from_another_forwards_chunks_and_errors() {
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
        "the error of the inner call is a handler error of the outer agent"
    );
    assert_eq!(error.details()["cause"]["code"], "not_found");
}

#[tokio::test]
async fn deadline_of_a_request_bounds_the_calls_of_its_handler() {
    let test = TestMesh::start().await;
    let outer = AgentSpec::new("outer", "Asks another agent for its time left.").handler(
        |ctx: Context| async move {
            let metadata: Value = ctx.mesh().call("tell", "x").await?;
            Ok::<_, Error>(metadata["millis_left"].clone())
        },
    );
    test.mesh.register(outer).await.unwrap();
    test.mesh.register(agents![tell]).await.unwrap();
    let call = test.mesh.call::<u64>("outer", ());
    let left = within(call.timeout(Duration::from_secs(5))).await.unwrap();
    assert!(
        left <= 5_001,
        "{left}: the default of 30 s was used instead of the deadline"
    );
    let call = test.mesh.call::<u64>("outer", ());
    let left = within(call.timeout(Duration::from_secs(300)))
        .await
        .unwrap();
    assert!(left <= 30_001, "{left}: more than the default of a call");
}

#[tokio::test]
async fn cancelled_call_cancels_the_calls_of_its_handlers() {
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
    let middle = AgentSpec::new("middle", "Calls the last agent.")
        .handler(|ctx: Context| async move { ctx.mesh().call::<()>("last", ()).await });
    let first = AgentSpec::new("first", "Calls the middle agent.")
        .handler(|ctx: Context| async move { ctx.mesh().call::<()>("middle", ()).await });
    test.mesh.register([first, middle]).await.unwrap();
    let other = test.peer().await;
    other.register(last).await.unwrap();
    let call = tokio::spawn(test.peer().await.call::<()>("first", ()).into_future());
    alive.are(1).await;
    call.abort();
    alive.are(0).await;
}

#[tokio::test]
async fn cancelled_token_ends_work_on_another_thread() {
    let test = TestMesh::start().await;
    let alive = Alive::default();
    let guards = alive.clone();
    let threaded =
        AgentSpec::new("threaded", "Works on a blocking thread.").handler(move |ctx: Context| {
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

/// Reports usage twice, then replies or fails.
#[agent]
async fn paid(ctx: Context, fails: bool) -> Result<u32, Error> {
    for model in ["small", "large"] {
        ctx.report_usage(Usage {
            input_tokens: Some(3),
            model: Some(model.to_owned()),
            ..Usage::default()
        });
    }
    match fails {
        true => Err(Error::new("no_credit", "the account is empty")),
        false => Ok(1),
    }
}

#[tokio::test]
async fn reported_usage_adds_up_in_the_header_of_the_answer() {
    let test = TestMesh::start().await;
    within(test.mesh.register(agents![paid])).await.unwrap();
    let raw = test.raw().await;
    for fails in ["false", "true"] {
        let reply = within(raw.request("mesh.agent.paid", fails.into()))
            .await
            .unwrap();
        let headers = reply.headers.unwrap();
        let usage = headers.get("X-Mesh-Usage").unwrap();
        let usage: Value = serde_json::from_str(usage.as_str()).unwrap();
        assert_eq!(usage, json!({"input_tokens": 6, "model": "large"}));
    }
}
