//! Interceptors of a host: they see every request and its outcome, and may refuse it.

mod overload_and_panics;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use openagentmesh::protocol::Verb;
use openagentmesh::{
    AgentMesh, AgentSpec, Completion, Context, Error, ErrorCode, Exchange, Interceptor,
    MeshBuilder, Outcome, Result,
};

use crate::support::{Alive, TestMesh, eventually, subscribed, within};

/// One request as an interceptor saw it at its end.
#[derive(Debug, Clone)]
struct Seen {
    agent: String,
    verb: Verb,
    /// The outcome, with the code of the error or the reason of the cancellation.
    outcome: String,
    duration: Duration,
    queued: Duration,
    chunks: u64,
}

/// Records every request.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Seen>>>);

impl Recorder {
    /// Waits for so many requests.
    async fn requests(&self, count: usize) -> Vec<Seen> {
        eventually(|| async {
            let seen = self.0.lock().unwrap().clone();
            (seen.len() >= count).then_some(seen)
        })
        .await
    }

    /// Waits for the first request.
    async fn request(&self) -> Seen {
        self.requests(1).await.remove(0)
    }
}

impl Interceptor for Recorder {
    fn after(&self, exchange: &Exchange, completion: &Completion<'_>) {
        let outcome = match completion.outcome {
            Outcome::Replied => "replied".to_owned(),
            Outcome::Failed(error) => format!("failed: {}", error.code()),
            Outcome::Cancelled(reason) => format!("cancelled: {reason}"),
            _ => "unknown".to_owned(),
        };
        self.0.lock().unwrap().push(Seen {
            agent: exchange.agent().to_string(),
            verb: exchange.verb(),
            outcome,
            duration: completion.duration,
            queued: completion.queued,
            chunks: completion.chunks,
        });
    }
}

/// Runs a function before every request.
struct Before<F>(F);

impl<F> Interceptor for Before<F>
where
    F: Fn(&mut Exchange) -> Result<()> + Send + Sync + 'static,
{
    fn before(&self, exchange: &mut Exchange) -> Result<()> {
        (self.0)(exchange)
    }
}

/// Connects a host to the server of `test`.
async fn host(test: &TestMesh, configure: impl FnOnce(MeshBuilder) -> MeshBuilder) -> AgentMesh {
    let builder = AgentMesh::builder().url(test.server.url());
    configure(builder).connect().await.unwrap()
}

/// A host with a recorder.
async fn recorded(test: &TestMesh) -> (AgentMesh, Recorder) {
    let recorder = Recorder::default();
    let mesh = host(test, |builder| builder.intercept_host(recorder.clone())).await;
    (mesh, recorder)
}

/// An agent that never answers, and the count of its handlers.
fn pending() -> (openagentmesh::Agent, Alive) {
    let alive = Alive::default();
    let handlers = alive.clone();
    let agent = AgentSpec::new("pending", "Never answers.").handler(move || {
        let guard = handlers.guard();
        async move {
            std::future::pending::<()>().await;
            drop(guard);
            0
        }
    });
    (agent, alive)
}

#[tokio::test]
async fn interceptors_run_in_order_around_the_handler_and_back() {
    struct Named(&'static str, Arc<Mutex<Vec<String>>>);

    impl Interceptor for Named {
        fn before(&self, _: &mut Exchange) -> Result<()> {
            self.1.lock().unwrap().push(format!("before {}", self.0));
            Ok(())
        }

        fn after(&self, _: &Exchange, _: &Completion<'_>) {
            self.1.lock().unwrap().push(format!("after {}", self.0));
        }
    }

    let test = TestMesh::start().await;
    let log = Arc::<Mutex<Vec<String>>>::default();
    let mesh = host(&test, |builder| {
        builder
            .intercept_host(Named("first", log.clone()))
            .intercept_host(Named("second", log.clone()))
    })
    .await;
    let handler = log.clone();
    let agent = AgentSpec::new("logged", "Logs that it runs.").handler(move || {
        handler.lock().unwrap().push("handler".to_owned());
        async { 1 }
    });
    mesh.register(agent).await.unwrap();
    within(test.mesh.call::<u32>("logged", ())).await.unwrap();
    let log = eventually(|| async {
        let log = log.lock().unwrap().clone();
        (log.len() >= 5).then_some(log)
    });
    assert_eq!(
        log.await,
        [
            "before first",
            "before second",
            "handler",
            "after second",
            "after first"
        ]
    );
}

#[tokio::test]
async fn refused_request_is_answered_with_the_interceptors_code() {
    let test = TestMesh::start().await;
    let recorder = Recorder::default();
    let mesh = host(&test, |builder| {
        builder
            .intercept_host(recorder.clone())
            .intercept_host(Before(|exchange: &mut Exchange| {
                match exchange.headers().get("X-Tenant") {
                    Some(_) => Ok(()),
                    None => Err(Error::new("forbidden", "missing header X-Tenant")),
                }
            }))
    })
    .await;
    let runs = Arc::new(AtomicUsize::new(0));
    let handlers = runs.clone();
    let count = AgentSpec::new("count", "Counts its runs.").handler(move || {
        let run = handlers.fetch_add(1, Ordering::SeqCst);
        async move { run }
    });
    let chunks = AgentSpec::new("chunks", "Counts.").handler(|to: u32| stream::iter(0..to));
    mesh.register([count, chunks]).await.unwrap();

    let error = within(test.mesh.call::<usize>("count", ()))
        .await
        .unwrap_err();
    assert_eq!(error.code().as_str(), "forbidden");
    assert_eq!(error.message(), "missing header X-Tenant");
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    let mut refused = within(test.mesh.stream::<u32>("chunks", 2)).await.unwrap();
    let error = within(refused.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code().as_str(), "forbidden");
    for seen in recorder.requests(2).await {
        assert_eq!(seen.outcome, "failed: forbidden");
    }

    let admitted = test
        .mesh
        .call::<usize>("count", ())
        .header("X-Tenant", "acme");
    assert_eq!(within(admitted).await.unwrap(), 0);
}

#[tokio::test]
async fn refusal_with_an_error_of_the_mesh_is_a_handler_error_with_that_cause() {
    let test = TestMesh::start().await;
    let mesh = host(&test, |builder| {
        builder.intercept_host(Before(|_: &mut Exchange| {
            openagentmesh::AgentName::new("not a name")?;
            Ok(())
        }))
    })
    .await;
    mesh.register(crate::support::echo()).await.unwrap();
    let error = within(test.mesh.call::<String>("echo", "x"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::HandlerError);
    assert_eq!(error.details()["cause"]["code"], "invalid_input");
}

#[tokio::test]
async fn reply_and_failure_are_outcomes() {
    let test = TestMesh::start().await;
    let (mesh, recorder) = recorded(&test).await;
    let picky = AgentSpec::new("picky", "Takes small numbers.").handler(|n: u32| async move {
        if n > 1 {
            return Err(Error::new("too_many", "choose 0 or 1"));
        }
        Ok(n)
    });
    mesh.register(picky).await.unwrap();
    within(test.mesh.call::<u32>("picky", 1)).await.unwrap();
    within(test.mesh.call::<u32>("picky", 2)).await.unwrap_err();
    within(test.mesh.call::<u32>("picky", "text"))
        .await
        .unwrap_err();
    let seen = recorder.requests(3).await;
    let outcomes: Vec<_> = seen.iter().map(|seen| seen.outcome.as_str()).collect();
    assert_eq!(
        outcomes,
        ["replied", "failed: too_many", "failed: invalid_input"]
    );
    for seen in seen {
        assert_eq!((seen.agent.as_str(), seen.verb), ("picky", Verb::Call));
        assert_eq!(seen.chunks, 0);
        assert!(seen.duration > Duration::ZERO);
        assert!(seen.queued <= seen.duration);
    }
}

#[tokio::test]
async fn passed_deadline_is_the_outcome_deadline_exceeded() {
    let test = TestMesh::start().await;
    let (mesh, recorder) = recorded(&test).await;
    let (agent, alive) = pending();
    mesh.register(agent).await.unwrap();
    let raw = test.raw().await;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("X-Mesh-Timeout-Ms", "50");
    let request = raw.request_with_headers("mesh.agent.pending", headers, "".into());
    let reply = within(request).await.unwrap();
    let object: serde_json::Value = serde_json::from_slice(&reply.payload).unwrap();
    assert_eq!(object["code"], "timeout");
    let message = "deadline exceeded before the handler of agent 'pending' finished";
    assert_eq!(object["message"], message);
    alive.are(0).await;
    let seen = recorder.request().await;
    assert_eq!(seen.outcome, "cancelled: deadline_exceeded");
    assert!(seen.duration >= Duration::from_millis(50), "{seen:?}");
}

#[tokio::test]
async fn dropped_call_and_stream_are_the_outcome_caller_disconnected() {
    let test = TestMesh::start().await;
    let (mesh, recorder) = recorded(&test).await;
    let (agent, alive) = pending();
    let endless =
        AgentSpec::new("endless", "Counts without end.").handler(|from: u64| stream::iter(from..));
    mesh.register([agent, endless]).await.unwrap();

    let caller = test.mesh.clone();
    let call = tokio::spawn(async move { caller.call::<u32>("pending", ()).await });
    alive.are(1).await;
    call.abort();
    let seen = recorder.request().await;
    assert_eq!(seen.outcome, "cancelled: caller_disconnected");
    alive.are(0).await;

    let mut chunks = within(test.mesh.stream::<u64>("endless", 0)).await.unwrap();
    assert_eq!(within(chunks.next()).await.unwrap().unwrap(), 0);
    drop(chunks);
    let seen = recorder.requests(2).await.remove(1);
    assert_eq!(seen.outcome, "cancelled: caller_disconnected");
    assert_eq!(seen.verb, Verb::Stream);
    assert!(seen.chunks > 0);
}

#[tokio::test]
async fn request_that_outlasts_the_grace_time_is_the_outcome_shutdown() {
    let test = TestMesh::start().await;
    let recorder = Recorder::default();
    let mesh = host(&test, |builder| {
        builder
            .intercept_host(recorder.clone())
            .shutdown_grace(Duration::from_millis(50))
    })
    .await;
    let (agent, alive) = pending();
    mesh.register(agent).await.unwrap();
    let caller = test.mesh.clone();
    let call = tokio::spawn(async move { caller.call::<u32>("pending", ()).await });
    alive.are(1).await;
    within(mesh.shutdown()).await.unwrap();
    let error = within(call).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotAvailable);
    assert_eq!(recorder.request().await.outcome, "cancelled: shutdown");
}

#[tokio::test]
async fn chunks_of_a_stream_are_counted_also_before_a_failure() {
    let test = TestMesh::start().await;
    let (mesh, recorder) = recorded(&test).await;
    let counter = AgentSpec::new("counter", "Counts.").handler(|to: u32| stream::iter(0..to));
    let broken = AgentSpec::new("broken", "Fails after some chunks.").handler(|to: u32| {
        let failure = stream::once(async { Err(Error::new("broken", "it ends here")) });
        stream::iter((0..to).map(Ok)).chain(failure)
    });
    mesh.register([counter, broken]).await.unwrap();
    let chunks = within(test.mesh.stream::<u32>("counter", 5)).await.unwrap();
    assert_eq!(
        within(chunks.try_collect::<Vec<_>>()).await.unwrap().len(),
        5
    );
    let chunks = within(test.mesh.stream::<u32>("broken", 2)).await.unwrap();
    within(chunks.try_collect::<Vec<_>>()).await.unwrap_err();
    let seen = recorder.requests(2).await;
    assert_eq!((seen[0].outcome.as_str(), seen[0].chunks), ("replied", 5));
    assert_eq!(
        (seen[1].outcome.as_str(), seen[1].chunks),
        ("failed: broken", 2)
    );
    assert!(seen.iter().all(|seen| seen.verb == Verb::Stream));
}

#[tokio::test]
async fn changed_headers_are_seen_by_later_interceptors_and_by_the_handler() {
    let test = TestMesh::start().await;
    let mesh = host(&test, |builder| {
        builder
            .intercept_host(Before(|exchange: &mut Exchange| {
                exchange.headers_mut().set("X-User", "ada");
                exchange.headers_mut().remove("X-Token");
                Ok(())
            }))
            .intercept_host(Before(|exchange: &mut Exchange| {
                let user = exchange
                    .headers()
                    .get("X-User")
                    .unwrap_or("none")
                    .to_owned();
                exchange
                    .headers_mut()
                    .set("X-Greeting", format!("hello {user}"));
                Ok(())
            }))
    })
    .await;
    let agent =
        AgentSpec::new("headers", "Returns headers.").handler(|context: Context| async move {
            ["x-greeting", "x-token", "x-other"].map(|name| context.header(name).map(str::to_owned))
        });
    mesh.register(agent).await.unwrap();
    let call = test
        .mesh
        .call::<[Option<String>; 3]>("headers", ())
        .header("X-Token", "secret")
        .header("X-Other", "kept");
    let [greeting, token, other] = within(call).await.unwrap();
    assert_eq!(greeting.as_deref(), Some("hello ada"));
    assert_eq!(token, None);
    assert_eq!(other.as_deref(), Some("kept"));
}

#[tokio::test]
async fn request_without_a_reply_subject_has_an_outcome() {
    let test = TestMesh::start().await;
    let (mesh, recorder) = recorded(&test).await;
    mesh.register(crate::support::echo()).await.unwrap();
    let raw = test.raw().await;
    let mut letters = subscribed(&raw, "mesh.errors.echo").await;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("X-Mesh-Timeout-Ms", "not a number");
    raw.publish_with_headers("mesh.agent.echo", headers, "\"x\"".into())
        .await
        .unwrap();
    within(letters.next()).await.unwrap();
    assert_eq!(recorder.request().await.outcome, "failed: invalid_input");
}
