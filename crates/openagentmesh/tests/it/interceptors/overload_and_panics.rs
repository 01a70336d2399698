//! Interceptors around requests beyond the limit, and interceptors that panic.

use std::sync::Arc;
use std::time::Duration;

use openagentmesh::{AgentMesh, AgentSpec, Completion, ErrorCode, Exchange, Interceptor};
use tokio::sync::Notify;

use super::{Before, Recorder, host, recorded};
use crate::support::{TestMesh, eventually, within};

/// Registers `gate`, which runs one request at once and queues `queue`. Returns the notifications that a
/// request has started, and that one may end.
async fn register_gate(mesh: &AgentMesh, queue: usize) -> (Arc<Notify>, Arc<Notify>) {
    let (started, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (starts, released) = (started.clone(), release.clone());
    let gate = AgentSpec::new("gate", "Answers when it is released.")
        .concurrency(1)
        .queue(queue)
        .handler(move || {
            let (starts, released) = (starts.clone(), released.clone());
            async move {
                starts.notify_one();
                released.notified().await;
            }
        });
    mesh.register(gate).await.unwrap();
    (started, release)
}

#[tokio::test]
async fn request_beyond_the_limit_is_the_outcome_overloaded_and_one_in_the_queue_has_waited() {
    let test = TestMesh::start().await;
    let (mesh, recorder) = recorded(&test).await;
    let (started, release) = register_gate(&mesh, 1).await;
    let call = || {
        let caller = test.mesh.clone();
        tokio::spawn(async move { caller.call::<()>("gate", ()).await })
    };
    let calls = [call(), call(), call()];
    within(started.notified()).await;
    let overloaded = recorder.request().await;
    assert_eq!(overloaded.outcome, "failed: overloaded");
    assert_eq!(overloaded.queued, Duration::ZERO);

    release.notify_one();
    within(started.notified()).await;
    release.notify_one();
    let mut refused = 0;
    for call in calls {
        refused += usize::from(within(call).await.unwrap().is_err());
    }
    assert_eq!(refused, 1);
    let seen = recorder.requests(3).await;
    assert_eq!(
        (seen[1].outcome.as_str(), seen[2].outcome.as_str()),
        ("replied", "replied")
    );
    assert!(seen[2].queued > seen[1].queued, "{seen:?}");
    assert!(seen[2].queued <= seen[2].duration);
}

#[tokio::test]
async fn panic_at_the_end_of_an_overloaded_request_does_not_end_the_agent() {
    let test = TestMesh::start().await;
    let mesh = host(&test, |builder| {
        builder.intercept_host(Before(|exchange: &mut Exchange| {
            if exchange.headers().get("X-Panic").is_some() {
                exchange
                    .extensions_mut()
                    .insert(crate::support::PanicsOnDrop);
            }
            Ok(())
        }))
    })
    .await;
    let (started, release) = register_gate(&mesh, 0).await;
    let caller = test.mesh.clone();
    let first = tokio::spawn(async move { caller.call::<()>("gate", ()).await });
    within(started.notified()).await;
    let call = || test.mesh.call::<()>("gate", ());
    let error = within(call().header("X-Panic", "yes")).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Overloaded);
    release.notify_one();
    within(first).await.unwrap().unwrap();
    release.notify_one();
    // The request before may be in flight for a moment.
    eventually(|| async { within(call()).await.ok() }).await;
}

#[tokio::test]
async fn panic_before_a_request_fails_that_request_only() {
    let test = TestMesh::start().await;
    let recorder = Recorder::default();
    let mesh = host(&test, |builder| {
        builder
            .intercept_host(recorder.clone())
            .intercept_host(Before(|exchange: &mut Exchange| {
                assert!(exchange.headers().get("X-Panic").is_none(), "on purpose");
                Ok(())
            }))
    })
    .await;
    mesh.register(crate::support::echo()).await.unwrap();
    let call = || test.mesh.call::<String>("echo", "x");
    let error = within(call().header("X-Panic", "yes")).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::HandlerError);
    assert_eq!(error.message(), "an interceptor panicked: on purpose");
    assert_eq!(within(call()).await.unwrap(), "Echo: x");
    let seen = recorder.requests(2).await;
    assert_eq!(seen[0].outcome, "failed: handler_error");
    assert_eq!(seen[1].outcome, "replied");
}

#[tokio::test]
async fn panic_after_a_request_does_not_change_its_answer() {
    struct Panics;

    impl Interceptor for Panics {
        fn after(&self, _: &Exchange, _: &Completion<'_>) {
            panic!("on purpose");
        }
    }

    let test = TestMesh::start().await;
    let mesh = host(&test, |builder| builder.intercept_host(Panics)).await;
    mesh.register(crate::support::echo()).await.unwrap();
    for _ in 0..3 {
        let reply = within(test.mesh.call::<String>("echo", "x")).await.unwrap();
        assert_eq!(reply, "Echo: x");
    }
}
