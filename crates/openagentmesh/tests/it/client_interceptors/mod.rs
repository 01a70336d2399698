//! Interceptors around the requests that a process sends.

mod sends;
mod streams;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Alive, TestMesh, echo, eventually, subscribed, synchronize, within};
use futures::{FutureExt, StreamExt, stream};
use openagentmesh::protocol::Verb;
use openagentmesh::{
    AgentMesh, AgentSpec, CancelReason, Completion, Context, Error, ErrorCode, Exchange,
    Interceptor, Outcome, Result,
};
use serde_json::Value;

/// The end of a request, as an interceptor saw it.
#[derive(Debug, Clone, PartialEq)]
struct Ended {
    agent: String,
    verb: Verb,
    /// `replied`, the code of the error, or the reason of the cancellation.
    outcome: String,
    chunks: u64,
}

fn ended(agent: &str, verb: Verb, outcome: &str, chunks: u64) -> Ended {
    Ended {
        agent: agent.to_owned(),
        verb,
        outcome: outcome.to_owned(),
        chunks,
    }
}

/// Counts `before` and records `after`.
#[derive(Clone, Default)]
struct Recorder {
    begun: Arc<Mutex<Vec<String>>>,
    ended: Arc<Mutex<Vec<Ended>>>,
}

/// A value that `before` leaves for `after`.
struct Begun;

impl Interceptor for Recorder {
    fn before(&self, exchange: &mut Exchange) -> Result<()> {
        assert!(exchange.request_id().as_str().len() >= 32);
        exchange.extensions_mut().insert(Begun);
        let agent = exchange.agent().to_string();
        self.begun.lock().unwrap().push(agent);
        Ok(())
    }

    fn after(&self, exchange: &Exchange, completion: &Completion<'_>) {
        assert!(exchange.extensions().get::<Begun>().is_some());
        assert_eq!(completion.queued, Duration::ZERO);
        assert!(completion.duration > Duration::ZERO);
        let outcome = match completion.outcome {
            Outcome::Failed(error) => error.code().to_string(),
            Outcome::Cancelled(reason) => reason.to_string(),
            outcome => outcome.as_str().to_owned(),
        };
        let agent = exchange.agent().as_str();
        let ended = ended(agent, exchange.verb(), &outcome, completion.chunks);
        self.ended.lock().unwrap().push(ended);
    }
}

impl Recorder {
    /// Waits until every request that has begun has ended, and takes their records. A request that ended
    /// twice fails the test.
    async fn take(&self) -> Vec<Ended> {
        let is_complete = || self.ended.lock().unwrap().len() >= self.begun.lock().unwrap().len();
        eventually(|| async { is_complete().then_some(()) }).await;
        let begun = std::mem::take(&mut *self.begun.lock().unwrap());
        let ended = std::mem::take(&mut *self.ended.lock().unwrap());
        assert_eq!(begun.len(), ended.len(), "{ended:?}");
        ended
    }
}

/// Runs `before` and nothing else.
struct Before<F>(F);

impl<F> Interceptor for Before<F>
where
    F: Fn(&mut Exchange) -> Result<()> + Send + Sync + 'static,
{
    fn before(&self, exchange: &mut Exchange) -> Result<()> {
        self.0(exchange)
    }
}

async fn connect(test: &TestMesh, interceptor: impl Interceptor) -> AgentMesh {
    let builder = AgentMesh::builder().url(test.server.url());
    builder
        .intercept_client(interceptor)
        .connect()
        .await
        .unwrap()
}

/// A mesh, a caller whose requests are recorded, and agents of every outcome.
async fn recorded() -> (TestMesh, AgentMesh, Recorder, Alive) {
    let test = TestMesh::start().await;
    let alive = Alive::default();
    let (one, many) = (alive.clone(), alive.clone());
    let failing = AgentSpec::new("failing", "Fails.")
        .handler(|| async { Err::<u32, _>(Error::new("rate_limited", "come back later")) });
    let stuck = AgentSpec::new("stuck", "Never replies.").handler(move || {
        let guard = one.guard();
        async move {
            std::future::pending::<()>().await;
            drop(guard);
        }
    });
    let counter = AgentSpec::new("counter", "Counts.").handler(|to: u32| stream::iter(0..to));
    let broken = AgentSpec::new("broken", "Streams one number, then fails.").handler(|_: u32| {
        stream::iter([Ok(1), Err(Error::new("rate_limited", "come back later"))])
    });
    let endless = AgentSpec::new("endless", "Never ends.").handler(move |_: u32| {
        let guard = many.guard();
        stream::iter(0_u32..).map(move |n| {
            let _ = &guard;
            n
        })
    });
    let agents = [echo(), failing, stuck, counter, broken, endless];
    test.mesh.register(agents).await.unwrap();
    let recorder = Recorder::default();
    let caller = connect(&test, recorder.clone()).await;
    (test, caller, recorder, alive)
}

#[tokio::test]
async fn call_ends_with_each_outcome_once() {
    let (_test, caller, recorder, alive) = recorded().await;
    caller.call::<String>("echo", "hi").await.unwrap();
    caller.call::<u32>("echo", "hi").await.unwrap_err();
    caller.call::<u32>("failing", ()).await.unwrap_err();
    caller.call::<u32>("nosuch", ()).await.unwrap_err();
    caller.call::<u32>("counter", 1).await.unwrap_err();
    let call = caller.call::<Value>("stuck", ());
    call.timeout(Duration::from_millis(50)).await.unwrap_err();
    // Neither is sent: the first is invalid, the second is not awaited.
    caller.call::<u32>("not valid", ()).await.unwrap_err();
    drop(caller.call::<u32>("echo", ()));
    let outcomes = [
        ("echo", "replied"),
        ("echo", "unexpected_reply"),
        ("failing", "rate_limited"),
        ("nosuch", "not_found"),
        ("counter", "invocation_mismatch"),
        ("stuck", "timeout"),
    ];
    let expected = outcomes.map(|(agent, outcome)| ended(agent, Verb::Call, outcome, 0));
    assert_eq!(recorder.take().await, expected);

    alive.are(0).await;
    let call = tokio::spawn(caller.call::<Value>("stuck", ()).into_future());
    alive.are(1).await;
    call.abort();
    alive.are(0).await;
    let cancelled = CancelReason::CallerDisconnected.as_str();
    let expected = [ended("stuck", Verb::Call, cancelled, 0)];
    assert_eq!(recorder.take().await, expected);
}

#[tokio::test]
async fn refused_request_is_not_sent_and_returns_the_error() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    let (first, last) = (Recorder::default(), Recorder::default());
    let refuse = |exchange: &mut Exchange| {
        let tenant = exchange.headers().get("X-Tenant");
        tenant
            .map(|_| ())
            .ok_or_else(|| Error::new("forbidden", "missing header X-Tenant"))
    };
    let builder = AgentMesh::builder()
        .url(test.server.url())
        .intercept_client(first.clone())
        .intercept_client(Before(refuse))
        .intercept_client(last.clone());
    let caller = builder.connect().await.unwrap();
    let raw = test.raw().await;
    let mut requests = subscribed(&raw, "mesh.agent.echo").await;

    let call = caller.call::<String>("echo", "x").await.unwrap_err();
    let stream = caller.stream::<String>("echo", "x").await.unwrap_err();
    let send = caller.send("echo", "x").await.unwrap_err();
    let reply = caller
        .send("echo", "x")
        .reply::<String>()
        .await
        .unwrap_err();
    let callback = caller.send("echo", "x").on_reply(|_: String| async {});
    let callback = callback.await.unwrap_err();
    for error in [call, stream, send, reply, callback] {
        assert_eq!(error.code().as_str(), "forbidden");
        assert_eq!(error.agent(), Some("echo"));
    }
    let verbs = [Verb::Call, Verb::Stream, Verb::Send, Verb::Send, Verb::Send];
    let expected = verbs.map(|verb| ended("echo", verb, "forbidden", 0));
    assert_eq!(first.take().await, expected);
    assert_eq!(last.take().await, []);

    let call = caller.call::<String>("echo", "x").header("X-Tenant", "a");
    assert_eq!(call.await.unwrap(), "Echo: x");
    assert_eq!(
        first.take().await,
        [ended("echo", Verb::Call, "replied", 0)]
    );
    assert_eq!(last.take().await, [ended("echo", Verb::Call, "replied", 0)]);
    let request = within(requests.next()).await.unwrap();
    let tenant = request
        .headers
        .unwrap()
        .get("X-Tenant")
        .unwrap()
        .to_string();
    assert_eq!(tenant, "a", "the first request on the wire");
    synchronize(&raw).await;
    assert!(requests.next().now_or_never().is_none());
}

#[tokio::test]
async fn headers_of_interceptors_arrive_at_the_handler() {
    let test = TestMesh::start().await;
    let names = ["Own", "Kept", "Replaced", "X-Mesh-Actor", "traceparent"];
    let seen = move |ctx: &Context| names.map(|name| ctx.header(name).map(str::to_owned));
    let one = AgentSpec::new("one", "Returns headers.")
        .handler(move |ctx: Context| async move { seen(&ctx) });
    let many = AgentSpec::new("many", "Streams headers.")
        .handler(move |ctx: Context, _: u32| stream::iter([seen(&ctx)]));
    test.mesh.register([one, many]).await.unwrap();
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let set = move |exchange: &mut Exchange| {
        assert_eq!(exchange.headers().get("own"), Some("1"));
        let headers = exchange.headers_mut();
        headers.remove("own");
        headers.set("replaced", "new");
        headers.set("X-Mesh-Actor", "alice");
        headers.set("traceparent", traceparent);
        Ok(())
    };
    let caller = connect(&test, Before(set)).await;
    let expected = [
        None,
        Some("2"),
        Some("new"),
        Some("alice"),
        Some(traceparent),
    ];
    let expected = expected.map(|value| value.map(str::to_owned));
    let headers = [("Own", "1"), ("Kept", "2"), ("Replaced", "old")];

    let call = caller.call::<[Option<String>; 5]>("one", ());
    let call = headers
        .iter()
        .fold(call, |call, (name, value)| call.header(name, value));
    assert_eq!(within(call).await.unwrap(), expected);
    let request = caller.stream::<[Option<String>; 5]>("many", 1);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(name, value)
    });
    let mut chunks = within(request).await.unwrap();
    assert_eq!(within(chunks.next()).await.unwrap().unwrap(), expected);
    let send = caller.send("one", ()).reply::<[Option<String>; 5]>();
    let send = headers
        .iter()
        .fold(send, |send, (name, value)| send.header(name, value));
    assert_eq!(within(within(send).await.unwrap()).await.unwrap(), expected);
}

#[tokio::test]
async fn header_that_an_interceptor_must_not_set_fails_the_request() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    for (name, value) in [
        ("X-Mesh-Request-Id", "cafe"),
        ("x-mesh-timeout-ms", "1"),
        ("a b", "1"),
        ("Fine", "a\r\nb"),
    ] {
        let recorder = Recorder::default();
        let set = move |exchange: &mut Exchange| {
            exchange.headers_mut().set(name, value);
            Ok(())
        };
        let builder = AgentMesh::builder().url(test.server.url());
        let builder = builder.intercept_client(recorder.clone());
        let caller = builder
            .intercept_client(Before(set))
            .connect()
            .await
            .unwrap();
        let error = caller.call::<String>("echo", "x").await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::InvalidInput, "{name}");
        let expected = [ended("echo", Verb::Call, "invalid_input", 0)];
        assert_eq!(recorder.take().await, expected);
    }
}

/// Panics where the request's header says so.
struct Panicking;

impl Interceptor for Panicking {
    fn before(&self, exchange: &mut Exchange) -> Result<()> {
        assert_ne!(
            exchange.headers().get("Panic"),
            Some("before"),
            "on purpose"
        );
        Ok(())
    }

    fn after(&self, exchange: &Exchange, _completion: &Completion<'_>) {
        assert_ne!(exchange.headers().get("Panic"), Some("after"), "on purpose");
    }
}

#[tokio::test]
async fn panic_of_an_interceptor_fails_only_its_request() {
    let (test, _, recorder, alive) = recorded().await;
    let builder = AgentMesh::builder().url(test.server.url());
    let builder = builder.intercept_client(recorder.clone());
    let caller = builder.intercept_client(Panicking).connect().await.unwrap();
    for when in ["before", "after"] {
        let outcome = if when == "before" {
            "handler_error"
        } else {
            "replied"
        };
        let call = caller.call::<String>("echo", "x").header("Panic", when);
        let error = within(call).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::HandlerError, "{when}");
        assert!(
            error.message().contains("an interceptor panicked"),
            "{error}"
        );
        assert_eq!(error.agent(), Some("echo"));
        let expected = [ended("echo", Verb::Call, outcome, 0)];
        assert_eq!(recorder.take().await, expected);

        let request = caller.stream::<u32>("counter", 2).header("Panic", when);
        let results: Vec<Result<u32>> = match within(request).await {
            Ok(chunks) => within(chunks.collect()).await,
            Err(error) => vec![Err(error)],
        };
        let error = results.into_iter().next_back().unwrap().unwrap_err();
        assert_eq!(error.code(), &ErrorCode::HandlerError, "{when}");
        let chunks = if when == "before" { 0 } else { 2 };
        let expected = [ended("counter", Verb::Stream, outcome, chunks)];
        assert_eq!(recorder.take().await, expected);
    }
    // The panic on drop is only logged, and the error of a failed request stays.
    let reply = caller.send("stuck", ()).header("Panic", "after");
    drop(within(reply.reply::<Value>()).await.unwrap());
    alive.are(0).await;
    let call = caller.call::<u32>("failing", ()).header("Panic", "after");
    assert_eq!(
        within(call).await.unwrap_err().code().as_str(),
        "rate_limited"
    );
    assert_eq!(
        within(caller.call::<String>("echo", "x")).await.unwrap(),
        "Echo: x"
    );
    let cancelled = CancelReason::CallerDisconnected.as_str();
    let expected = [
        ended("stuck", Verb::Send, cancelled, 0),
        ended("failing", Verb::Call, "rate_limited", 0),
        ended("echo", Verb::Call, "replied", 0),
    ];
    assert_eq!(recorder.take().await, expected);
}

/// Records its name with each of its two methods.
struct Named(&'static str, Arc<Mutex<Vec<String>>>);

impl Interceptor for Named {
    fn before(&self, _exchange: &mut Exchange) -> Result<()> {
        self.1.lock().unwrap().push(format!("before {}", self.0));
        Ok(())
    }

    fn after(&self, _exchange: &Exchange, _completion: &Completion<'_>) {
        self.1.lock().unwrap().push(format!("after {}", self.0));
    }
}

#[tokio::test]
async fn interceptors_run_in_order_and_end_in_reverse() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    let log = Arc::new(Mutex::new(Vec::new()));
    let builder = AgentMesh::builder()
        .url(test.server.url())
        .intercept_client(Named("a", log.clone()))
        .intercept_client(Named("b", log.clone()));
    let caller = builder.connect().await.unwrap();
    caller.call::<String>("echo", "x").await.unwrap();
    assert_eq!(
        *log.lock().unwrap(),
        ["before a", "before b", "after b", "after a"]
    );
}

/// A request is sent in the span of its interceptor: its trace context is that of the span.
#[cfg(feature = "otel")]
#[tokio::test]
async fn request_is_sent_in_the_span_of_an_interceptor() {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt;

    let exporter = opentelemetry_sdk::trace::InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let subscriber = tracing_subscriber::registry().with(layer);
    let _guard = tracing::subscriber::set_default(subscriber);

    let test = TestMesh::start().await;
    let agent = AgentSpec::new("headers", "Returns a header.")
        .handler(|ctx: Context| async move { ctx.header("traceparent").map(str::to_owned) });
    test.mesh.register(agent).await.unwrap();
    let set = |exchange: &mut Exchange| {
        exchange.set_span(tracing::info_span!("sending"));
        Ok(())
    };
    let caller = connect(&test, Before(set)).await;
    let call = caller.call::<Option<String>>("headers", ());
    let traceparent = within(call).await.unwrap().unwrap();
    let span = eventually(|| async {
        let spans = exporter.get_finished_spans().unwrap();
        spans.into_iter().find(|span| span.name == "sending")
    })
    .await;
    let context = &span.span_context;
    let expected = format!("00-{}-{}-01", context.trace_id(), context.span_id());
    assert_eq!(traceparent, expected);
}
