//! The ends of detached requests: deadlines, and drops.

use super::*;

#[tokio::test(start_paused = true)]
async fn detached_request_ends_with_the_first_of_all_deadlines() {
    let stuck = || AgentSpec::new("stuck", "Never replies.").handler(std::future::pending::<u32>);
    let limited = AgentSpec::new("limited", "Never replies.")
        .timeout(Duration::from_secs(2))
        .handler(std::future::pending::<u32>);
    let silent =
        AgentSpec::new("silent", "Sends no chunk.").handler(|_: u32| stream::pending::<u32>());
    let answers = (stuck(), limited, silent);
    let ctx = Context::detached()
        .deadline(Duration::from_secs(60))
        .answer(answers)
        .build();
    let mesh = ctx.mesh();
    let second = Duration::from_secs(1);
    let start = tokio::time::Instant::now();
    let call = mesh.call::<u32>("stuck", ()).timeout(second);
    let error = call.await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Timeout);
    assert!(start.elapsed() < 2 * second, "{:?}", start.elapsed());

    let error = mesh.call::<u32>("limited", ()).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Timeout);
    assert!(
        error.message().contains("the agent's timeout of 2s"),
        "{error}"
    );
    assert!(start.elapsed() < 4 * second, "{:?}", start.elapsed());

    let reply = mesh.send("stuck", ()).timeout(second).reply::<u32>();
    let reply = reply.await.unwrap();
    assert_eq!(reply.await.unwrap_err().code(), &ErrorCode::Timeout);

    let mut chunks = mesh
        .stream::<u32>("silent", 1)
        .chunk_timeout(second)
        .await
        .unwrap();
    let error = chunks.next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Timeout);
    assert!(error.message().contains("sent no chunk"), "{error}");

    // The deadline of the context, although the timeout of the call is longer.
    let call = mesh
        .call::<u32>("stuck", ())
        .timeout(Duration::from_secs(300));
    let error = call.await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Timeout);
    assert!(error.message().contains("before the deadline"), "{error}");
    assert!(ctx.time_left().unwrap().is_zero());
    let error = mesh.call::<u32>("stuck", ()).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Timeout);
}

#[tokio::test]
async fn detached_request_that_is_dropped_cancels_its_handler() {
    let (started, mut contexts) = tokio::sync::mpsc::channel(2);
    let stuck = AgentSpec::new("stuck", "Never replies.").handler(move |ctx: Context| {
        let started = started.clone();
        async move {
            started.send(ctx).await.unwrap();
            std::future::pending::<()>().await;
        }
    });
    let ctx = Context::detached().answer((stuck, agents![tell])).build();
    let call = tokio::spawn(ctx.mesh().call::<()>("stuck", ()));
    let called = within(contexts.recv()).await.unwrap();
    assert!(!called.cancellation().is_cancelled());
    call.abort();
    within(called.cancellation().cancelled()).await;

    let reply = ctx.mesh().send("stuck", ()).reply::<()>().await.unwrap();
    let called = within(contexts.recv()).await.unwrap();
    drop(reply);
    within(called.cancellation().cancelled()).await;
}

#[tokio::test]
async fn detached_context_leaves_no_task_when_its_requests_end() {
    let ctx = Context::detached()
        .answer(agents![price, count, quote])
        .build();
    let mesh = ctx.mesh();
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    assert_eq!(tasks(), 0, "of the connection");
    mesh.call::<String>("shop.quote", order("tea"))
        .await
        .unwrap();
    mesh.send("shop.price", order("tea")).await.unwrap();
    let chunks = mesh.stream::<u32>("count", 3).await.unwrap();
    assert_eq!(chunks.count().await, 3);
    mesh.kv().put("key", "value").await.unwrap_err();
    assert_eq!(mesh.catalog().await.unwrap().len(), 3);
    assert_eq!(tasks(), 0, "of requests");
}
