//! Handlers with a context, tested without a server.

mod ends;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt, stream};
use openagentmesh::{
    AgentName, AgentSpec, CancellationToken, ConnectionState, Context, Error, ErrorCode,
    InstanceId, RequestId, Result, agent, agents, schemars, serde,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::support::within;

#[derive(serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
struct Order {
    sku: String,
    #[schemars(range(min = 1))]
    quantity: u32,
}

/// Quotes an order for the tenant of the request.
#[agent(channel = "shop")]
async fn quote(ctx: Context, order: Order) -> Result<String> {
    let quantity = order.quantity;
    let price: u32 = ctx.mesh().call("shop.price", order).await?;
    let tenant = ctx.header("Tenant").unwrap_or("unknown");
    Ok(format!("{} for {tenant}", price * quantity))
}

/// Returns the price of an article.
#[agent(channel = "shop")]
async fn price(order: Order) -> Result<u32> {
    match order.sku.as_str() {
        "tea" => Ok(3),
        "panic" => panic!("no price at all"),
        _ => Err(Error::new("no_such_article", "no such article").with_detail("sku", order.sku)),
    }
}

/// Counts.
#[agent]
fn count(to: u32) -> impl Stream<Item = Result<u32>> {
    stream::iter((1..=to).map(|n| match n {
        4 => Err(Error::new("no_four", "there is no four")),
        n => Ok(n),
    }))
}

/// Replies with the metadata of its request.
#[agent]
async fn tell(ctx: Context) -> Value {
    json!({
        "agent": ctx.agent().map(ToString::to_string),
        "caller": ctx.caller().map(ToString::to_string),
        "colour": ctx.header("colour"),
        "has_deadline": ctx.deadline().is_some(),
    })
}

/// Publishes one event.
#[agent]
fn ticks() -> impl Stream<Item = u32> {
    stream::iter([1])
}

fn order(sku: &str) -> Order {
    Order {
        sku: sku.to_owned(),
        quantity: 2,
    }
}

#[tokio::test]
async fn detached_handler_gets_answers_and_headers() {
    let ctx = Context::detached()
        .header("tenant", "acme")
        .answer(agents![price])
        .build();
    assert_eq!(quote(ctx, order("tea")).await.unwrap(), "6 for acme");
}

#[test]
fn detached_context_has_the_parts_of_its_builder_without_a_runtime() {
    let (caller, id, token) = (
        InstanceId::random(),
        RequestId::random(),
        CancellationToken::new(),
    );
    let ctx = Context::detached()
        .agent(AgentName::new("shop.quote").unwrap())
        .request_id(id.clone())
        .header("tenant", "acme")
        .header("Tenant", "other")
        .caller(caller.clone())
        .deadline(Duration::from_secs(60))
        .cancellation(token.clone())
        .build();
    assert_eq!(ctx.agent().unwrap().as_str(), "shop.quote");
    assert_eq!(ctx.request_id(), &id);
    assert_eq!(ctx.header("TENANT"), Some("other"));
    assert_eq!(ctx.caller(), Some(&caller));
    assert!(ctx.time_left().unwrap() <= Duration::from_secs(60));
    token.cancel();
    assert!(ctx.cancellation().is_cancelled());

    let bare = Context::detached().build();
    assert!(bare.agent().is_none() && bare.caller().is_none() && bare.deadline().is_none());
    assert_eq!(bare.mesh().status(), ConnectionState::Closed);
}

#[tokio::test]
async fn detached_answers_have_contexts_and_call_each_other() {
    let ctx = Context::detached().answer((agents![price, quote, tell], count_agent()));
    let ctx = ctx.header("colour", "red").build();
    let mesh = ctx.mesh();
    let nested: String = mesh.call("shop.quote", order("tea")).await.unwrap();
    assert_eq!(nested, "6 for unknown");
    let told = mesh.call::<Value>("tell", ()).header("Colour", "blue");
    let told = told.await.unwrap();
    assert_eq!(told["agent"], "tell");
    assert_eq!(told["caller"], mesh.instance_id().to_string());
    assert_eq!(told["colour"], "blue", "of the call, not of the context");
    assert_eq!(told["has_deadline"], true);
}

fn count_agent() -> openagentmesh::Agent {
    let [count] = agents![count];
    count
}

#[tokio::test]
async fn detached_answer_that_fails_has_the_codes_of_a_host() {
    let ctx = Context::detached().answer(agents![price, quote]).build();
    let mesh = ctx.mesh();
    let failed = async |input: Value| {
        let error = mesh.call::<u32>("shop.price", input).await.unwrap_err();
        assert_eq!(error.agent(), Some("shop.price"));
        assert_eq!(error.request_id().unwrap().len(), 32);
        error
    };
    let error = failed(json!({"sku": "jam", "quantity": 1})).await;
    assert!(error.is("no_such_article"), "{error:?}");
    assert_eq!(error.details()["sku"], "jam");

    let error = failed(json!({"sku": "panic", "quantity": 1})).await;
    assert_eq!(error.code(), &ErrorCode::HandlerError);
    assert!(error.message().contains("no price at all"), "{error}");

    for invalid in [
        json!({"sku": "tea", "quantity": 0}),
        json!({"sku": 1}),
        json!("tea"),
    ] {
        let error = failed(invalid).await;
        assert_eq!(error.code(), &ErrorCode::InvalidInput);
        assert!(error.details().contains_key("errors"), "{error:?}");
    }

    // An error of another agent is the cause of the error of a handler that passes it on.
    let error = mesh
        .call::<String>("shop.quote", order("jam"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::HandlerError);
    assert_eq!(error.details()["cause"]["code"], "no_such_article");

    let error = mesh
        .call::<bool>("shop.price", order("tea"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::UnexpectedReply);
    assert_eq!(error.agent(), Some("shop.price"));
}

#[tokio::test]
async fn detached_stream_yields_chunks_up_to_the_first_error() {
    let ctx = Context::detached().answer(agents![count]).build();
    let three = ctx.mesh().stream::<u32>("count", 3).await.unwrap();
    assert_eq!(three.try_collect::<Vec<_>>().await.unwrap(), [1, 2, 3]);
    let mut five = ctx.mesh().stream::<u32>("count", 5).await.unwrap();
    for n in 1..=3 {
        assert_eq!(five.next().await.unwrap().unwrap(), n);
    }
    assert!(five.next().await.unwrap().unwrap_err().is("no_four"));
    assert!(five.next().await.is_none());

    let mut invalid = ctx.mesh().stream::<u32>("count", "x").await.unwrap();
    let error = invalid.next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvalidInput);
    assert!(invalid.next().await.is_none());

    let many = AgentSpec::new("many", "Counts and waits.").handler(|to: u32| {
        stream::iter(0..to).then(async |n| {
            tokio::task::yield_now().await;
            n
        })
    });
    let ctx = Context::detached().answer(many).build();
    let chunks = ctx.mesh().stream::<u32>("many", 10_000).window(1);
    assert_eq!(chunks.await.unwrap().count().await, 10_000);
}

#[tokio::test]
async fn detached_send_runs_its_agent_and_directs_the_reply() {
    let received = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&received);
    let audit = AgentSpec::new("audit", "Adds.").handler(move |n: u32| {
        let total = counted.fetch_add(n, Ordering::Relaxed) + n;
        async move { total }
    });
    let ctx = Context::detached().answer((audit, agents![count])).build();
    let mesh = ctx.mesh();
    mesh.send("audit", 1).await.unwrap();
    mesh.send("audit", 2)
        .reply_to("some.subject")
        .await
        .unwrap();
    assert_eq!(received.load(Ordering::Relaxed), 3);

    let reply = mesh.send("audit", 4).reply::<u32>().await.unwrap();
    assert_eq!(within(reply).await.unwrap(), 7);

    let (sender, receiver) = oneshot::channel();
    let request = mesh.send("audit", 8).on_reply(|total: u32| async move {
        sender.send(total).unwrap();
    });
    request.await.unwrap();
    assert_eq!(within(receiver).await.unwrap(), 15);

    let (sender, receiver) = oneshot::channel();
    let request = mesh.send("audit", "x").on_error(|error| async move {
        sender.send(error).unwrap();
    });
    request.await.unwrap();
    let error = within(receiver).await.unwrap();
    assert_eq!(error.code(), &ErrorCode::InvalidInput);

    let error = mesh.send("count", 1).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvocationMismatch);
}

#[tokio::test]
async fn detached_send_continues_in_the_background() {
    let (started, mut runs) = tokio::sync::mpsc::channel(1);
    let slow = AgentSpec::new("slow", "Waits, then reports.").handler(move || {
        let started = started.clone();
        async move {
            tokio::task::yield_now().await;
            started.send(()).await.unwrap();
        }
    });
    let ctx = Context::detached().answer(slow).build();
    ctx.mesh().send("slow", ()).await.unwrap();
    drop(ctx);
    within(runs.recv()).await.unwrap();
}

#[tokio::test]
async fn detached_verb_that_does_not_fit_is_invocation_mismatch() {
    let ctx = Context::detached()
        .answer(agents![price, count, ticks])
        .build();
    let mesh = ctx.mesh();
    let error = mesh
        .stream::<u32>("shop.price", order("tea"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvocationMismatch);
    assert_eq!(error.details()["use"], "call");
    let error = mesh.call::<u32>("count", 1).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvocationMismatch);
    assert_eq!(error.details()["use"], "stream");
    for error in [
        mesh.call::<u32>("ticks", ()).await.unwrap_err(),
        mesh.stream::<u32>("ticks", ()).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), &ErrorCode::InvocationMismatch);
    }
}

#[tokio::test]
async fn detached_request_without_an_answer_is_not_found() {
    let ctx = Context::detached().answer(agents![price]).build();
    let mesh = ctx.mesh();
    let mut chunks = mesh.stream::<u32>("shop.prise", ()).await.unwrap();
    for error in [
        mesh.call::<u32>("shop.prise", ()).await.unwrap_err(),
        chunks.next().await.unwrap().unwrap_err(),
        mesh.send("shop.prise", ()).await.unwrap_err(),
        mesh.send("shop.prise", ())
            .reply::<u32>()
            .await
            .unwrap_err(),
        mesh.send("shop.prise", ())
            .on_reply(|_: u32| async {})
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.code(), &ErrorCode::NotFound, "{error:?}");
        assert!(error.message().contains("`.answer(agent)`"), "{error}");
        assert_eq!(error.details()["similar"], json!(["shop.price"]));
        assert_eq!(error.agent(), Some("shop.prise"));
    }
}

#[tokio::test(start_paused = true)]
async fn detached_context_without_a_mesh_fails_at_once() {
    let ctx = Context::detached().build();
    let mesh = ctx.mesh();
    let start = tokio::time::Instant::now();
    let errors = [
        mesh.publish("some.subject", 1).await.unwrap_err(),
        mesh.subscribe::<u32>("ticks").await.unwrap_err(),
        mesh.subscribe_subject::<u32>("some.>").await.unwrap_err(),
        mesh.create_buckets().await.unwrap_err(),
        mesh.kv().get("key").await.unwrap_err(),
        mesh.kv().put("key", "value").await.unwrap_err(),
        mesh.kv().delete("key").await.unwrap_err(),
        mesh.kv().create("key", "value").await.unwrap_err(),
        mesh.kv()
            .modify("key", |_| Ok("value"))
            .await
            .map(|_| ())
            .unwrap_err(),
        mesh.kv().list("*").await.map(|_| ()).unwrap_err(),
        mesh.kv().keys("*").await.unwrap_err(),
        mesh.kv().watch("key").await.map(|_| ()).unwrap_err(),
        mesh.workspace().get("file").await.unwrap_err(),
        mesh.workspace().put("file", "text").await.unwrap_err(),
        mesh.workspace().info("file").await.map(|_| ()).unwrap_err(),
        mesh.workspace()
            .put_file("file", "Cargo.toml")
            .await
            .map(|_| ())
            .unwrap_err(),
        mesh.workspace().list("").await.unwrap_err(),
        mesh.workspace().delete("file").await.unwrap_err(),
        mesh.workspace().watch("*").await.map(|_| ()).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.code(), &ErrorCode::ConnectionFailed, "{error:?}");
        assert!(error.message().contains("AgentMesh::local()"), "{error}");
    }
    let states: Vec<_> = mesh.status_changes().collect().await;
    assert_eq!(states, [ConnectionState::Closed]);
    assert_eq!(start.elapsed(), Duration::ZERO, "nothing has waited");
}

#[tokio::test]
async fn detached_answer_that_could_not_be_registered_is_invalid_input() {
    let zero = AgentSpec::new("zero", "Has no time.")
        .timeout(Duration::ZERO)
        .handler(|| async { 1 });
    let ctx = Context::detached().answer(zero).build();
    let error = ctx.mesh().call::<u32>("zero", ()).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvalidInput);
    let error = ctx.mesh().call::<u32>("no name", ()).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvalidInput);
}

#[tokio::test]
async fn detached_answer_replaces_an_earlier_one_with_its_name() {
    let one = |n: u32| AgentSpec::new("n", "Returns a number.").handler(move || async move { n });
    let ctx = Context::detached()
        .answer([one(1), one(2)])
        .answer(one(3))
        .build();
    assert_eq!(ctx.mesh().call::<u32>("n", ()).await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn detached_answers_are_the_catalog() {
    let zero = AgentSpec::new("zero", "Has no time.")
        .timeout(Duration::ZERO)
        .handler(|| async { 1 });
    let invalid = AgentSpec::new("no name", "Has a space.").handler(|| async { 1 });
    let add = AgentSpec::new("math.add", "Adds two numbers.")
        .tags(["math"])
        .handler(|(a, b): (i64, i64)| async move { a + b });
    let ctx = Context::detached()
        .answer((agents![price, count, ticks], add, zero, invalid))
        .build();
    let mesh = ctx.mesh();
    let names = |entries: Vec<openagentmesh::CatalogEntry>| -> Vec<String> {
        entries.into_iter().map(|entry| entry.name).collect()
    };
    let all = ["count", "math.add", "shop.price", "ticks"];
    assert_eq!(names(mesh.catalog().await.unwrap()), all);
    assert_eq!(names(mesh.catalog().fresh().await.unwrap()), all);
    assert_eq!(
        names(mesh.catalog().tag("math").await.unwrap()),
        ["math.add"]
    );
    assert_eq!(mesh.catalog().count_invalid().await.unwrap(), 0);
    assert_eq!(mesh.catalog().watch().count().await, 4);
    assert_eq!(mesh.discover().channel("shop").await.unwrap().len(), 1);
    assert_eq!(mesh.wait_for("count").await.unwrap().name, "count");

    let contract = mesh.contract("math.add").await.unwrap();
    contract.validate((1, 2)).unwrap();
    contract.validate("1").unwrap_err();
    let tools = mesh.tools().channel("math").await.unwrap();
    let result = tools.call("math_add", r#"{"input": [1, 2]}"#).await;
    assert_eq!(result.text(), "3");
    assert_eq!(mesh.tools().await.unwrap().len(), 3);

    let missing = [
        mesh.contract("math.ad").await.map(|_| ()).unwrap_err(),
        mesh.wait_for("math.ad").await.map(|_| ()).unwrap_err(),
        mesh.tools()
            .agents(["math.ad"])
            .await
            .map(|_| ())
            .unwrap_err(),
        mesh.contract("zero").await.map(|_| ()).unwrap_err(),
    ];
    for error in missing {
        assert_eq!(error.code(), &ErrorCode::NotFound, "{error:?}");
    }
    let bare = Context::detached().build();
    assert!(bare.mesh().catalog().await.unwrap().is_empty());
    assert!(bare.mesh().tools().await.unwrap().is_empty());
}
