//! Retries of requests: their number, their budget, and the errors after which they are made.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::support::{TestMesh, echo, eventually, subscribed, synchronize, within};
use futures::{StreamExt, stream};
use openagentmesh::protocol::header::{IDEMPOTENCY_KEY, REQUEST_ID};
use openagentmesh::{
    AgentMesh, AgentSpec, Completion, Error, ErrorCode, Exchange, Interceptor, Result, Retry,
};
use tokio::sync::Notify;

const SHORT: Duration = Duration::from_millis(100);

fn quick(attempts: u32) -> Retry {
    Retry::attempts(attempts).backoff(Duration::from_millis(1), Duration::from_millis(10))
}

fn overloaded() -> Error {
    Error::new(ErrorCode::Overloaded, "too much to do").with_detail("retry_after_ms", 1)
}

/// An agent that fails `failures` times with `overloaded` before it answers with the number of runs.
fn flaky(failures: u32, runs: &Arc<AtomicU32>) -> openagentmesh::Agent {
    let runs = Arc::clone(runs);
    AgentSpec::new("flaky", "Fails at first.").handler(move || {
        let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
        async move {
            match run > failures {
                true => Ok(run),
                false => Err(overloaded()),
            }
        }
    })
}

/// An agent that never answers, and counts its runs.
fn silent(name: &str, runs: &Arc<AtomicU32>, is_idempotent: bool) -> openagentmesh::Agent {
    let runs = Arc::clone(runs);
    let spec = AgentSpec::new(name, "Never answers.");
    let spec = if is_idempotent {
        spec.idempotent()
    } else {
        spec
    };
    spec.handler(move || {
        runs.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<u32>()
    })
}

#[tokio::test]
async fn overloaded_agent_is_called_until_it_answers() {
    let test = TestMesh::start().await;
    let runs = Arc::new(AtomicU32::new(0));
    test.mesh.register(flaky(2, &runs)).await.unwrap();
    let raw = test.raw().await;
    let mut tap = subscribed(&raw, "mesh.agent.flaky").await;
    let call = test.mesh.call::<u32>("flaky", ()).retry(quick(5));
    assert_eq!(within(call).await.unwrap(), 3);

    let (mut keys, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..3 {
        let headers = within(tap.next()).await.unwrap().headers.unwrap();
        keys.insert(headers.get(IDEMPOTENCY_KEY).unwrap().to_string());
        ids.insert(headers.get(REQUEST_ID).unwrap().to_string());
    }
    assert_eq!((keys.len(), ids.len()), (1, 3));
    // Without retries, there is no key.
    within(test.mesh.call::<u32>("flaky", ())).await.unwrap();
    let headers = within(tap.next()).await.unwrap().headers.unwrap();
    assert!(headers.get(IDEMPOTENCY_KEY).is_none());
}

#[tokio::test]
async fn last_error_has_the_number_of_attempts() {
    let test = TestMesh::start().await;
    let runs = Arc::new(AtomicU32::new(0));
    test.mesh.register(flaky(u32::MAX, &runs)).await.unwrap();
    for attempts in [1, 4] {
        runs.store(0, Ordering::SeqCst);
        let call = test.mesh.call::<u32>("flaky", ()).retry(quick(attempts));
        let error = within(call).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::Overloaded);
        assert_eq!(runs.load(Ordering::SeqCst), attempts);
        let made = error
            .details()
            .get("attempts")
            .and_then(|made| made.as_u64());
        assert_eq!(made, (attempts > 1).then_some(u64::from(attempts)));
    }
}

#[tokio::test]
async fn timeout_is_retried_only_for_an_idempotent_agent() {
    let test = TestMesh::start().await;
    let [once, again] = [false, true].map(|_| Arc::new(AtomicU32::new(0)));
    let agents = [silent("once", &once, false), silent("again", &again, true)];
    test.mesh.register(agents).await.unwrap();
    let contract = test.mesh.contract("again").await.unwrap();
    assert!(contract.idempotent);
    for (name, runs, expected) in [("once", &once, 1), ("again", &again, 3)] {
        let retry = quick(3).attempt_timeout(SHORT * 15);
        let error = within(test.mesh.call::<u32>(name, ()).retry(retry.clone()));
        assert_eq!(error.await.unwrap_err().code(), &ErrorCode::Timeout);
        assert_eq!(runs.load(Ordering::SeqCst), expected, "{name}");
        let reply = test.mesh.send(name, ()).retry(retry.clone()).reply::<u32>();
        let error = within(within(reply).await.unwrap()).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::Timeout);
        assert_eq!(runs.load(Ordering::SeqCst), 2 * expected, "{name}");
    }
}

#[tokio::test]
async fn other_errors_are_not_retried() {
    let test = TestMesh::start().await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let failing = AgentSpec::new("failing", "Fails.")
        .idempotent()
        .handler(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Err::<u32, _>(Error::new("broken", "it is broken")) }
        });
    test.mesh.register(failing).await.unwrap();
    let call = test.mesh.call::<u32>("failing", ()).retry(quick(5));
    assert!(within(call).await.unwrap_err().is("broken"));
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let unserved = test.mesh.call::<u32>("nosuch", ()).retry(quick(5));
    let error = within(unserved).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotFound);
    assert!(error.details().get("attempts").is_none());
    let invalid = test.mesh.call::<u32>("a b", ()).retry(quick(5));
    let error = within(invalid).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvalidInput);
}

#[tokio::test]
async fn attempts_end_by_the_deadline() {
    let test = TestMesh::start().await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let busy = AgentSpec::new("busy", "Asks for a long time.").handler(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Err::<u32, _>(overloaded().with_detail("retry_after_ms", 50_000)) }
    });
    let endless = Arc::new(AtomicU32::new(0));
    let agents = [busy, silent("silent", &endless, true)];
    test.mesh.register(agents).await.unwrap();
    // The next attempt would begin after the deadline.
    let call = test.mesh.call::<u32>("busy", ()).retry(quick(5));
    let error = within(call).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Overloaded);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let call = test.mesh.call::<u32>("silent", ()).timeout(SHORT * 75);
    let call = call.retry(quick(1000).attempt_timeout(SHORT * 15));
    let error = within(call).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Timeout);
    let made = endless.load(Ordering::SeqCst);
    assert!((1..=5).contains(&made), "{made} attempts");
}

#[tokio::test]
async fn retries_of_a_process_have_a_budget() {
    let test = TestMesh::start().await;
    let runs = Arc::new(AtomicU32::new(0));
    test.mesh.register(flaky(u32::MAX, &runs)).await.unwrap();
    const CALLS: u32 = 100;
    let began = std::time::Instant::now();
    let mut exhausted = 0;
    for _ in 0..CALLS {
        let call = test.mesh.call::<u32>("flaky", ()).retry(quick(5));
        let error = within(call).await.unwrap_err();
        exhausted += u32::from(error.details().get("retry_budget").is_some());
    }
    let retries = runs.load(Ordering::SeqCst) - CALLS;
    let allowed = 10.0 + f64::from(CALLS) * 0.2 + began.elapsed().as_secs_f64();
    assert!(f64::from(retries) <= allowed, "{retries} > {allowed}");
    assert!(retries >= 29, "{retries}");
    assert!(exhausted > CALLS / 2, "{exhausted}");
}

#[tokio::test]
async fn agent_without_a_host_is_called_again_when_one_starts() {
    let test = TestMesh::start().await;
    test.list_without_a_host(echo()).await;
    let unavailable = || async {
        let call = test.mesh.call::<String>("echo", "x").timeout(SHORT * 10);
        let error = call.await.err()?;
        (error.code() == &ErrorCode::NotAvailable).then_some(())
    };
    eventually(unavailable).await;
    let retry = Retry::attempts(9).backoff(SHORT, SHORT * 4);
    let call = tokio::spawn(
        test.mesh
            .call::<String>("echo", "x")
            .retry(retry)
            .into_future(),
    );
    let next = test.peer().await;
    next.register(echo()).await.unwrap();
    assert_eq!(within(call).await.unwrap().unwrap(), "Echo: x");
}

#[tokio::test]
async fn host_beyond_its_limits_says_when_to_come_back() {
    let test = TestMesh::start().await;
    let release = Arc::new(Notify::new());
    let released = Arc::clone(&release);
    let gate = AgentSpec::new("gate", "Answers when it is released.")
        .concurrency(1)
        .queue(0)
        .handler(move || {
            let released = Arc::clone(&released);
            async move {
                released.notified().await;
                1_u32
            }
        });
    test.mesh.register(gate).await.unwrap();
    let raw = test.raw().await;
    let mut tap = subscribed(&raw, "mesh.agent.gate").await;
    let first = tokio::spawn(test.mesh.call::<u32>("gate", ()).into_future());
    within(tap.next()).await.unwrap();
    let error = eventually(|| async {
        let call = test.mesh.call::<u32>("gate", ()).timeout(SHORT);
        call.await
            .err()
            .filter(|error| error.code() == &ErrorCode::Overloaded)
    });
    let error = error.await;
    assert!(
        error.details()["retry_after_ms"].as_u64().unwrap() >= 20,
        "{error:?}"
    );
    let retrying = test.mesh.call::<u32>("gate", ());
    let retrying = tokio::spawn(retrying.retry(Retry::attempts(10)).into_future());
    // One permit for each of both.
    release.notify_one();
    assert_eq!(within(first).await.unwrap().unwrap(), 1);
    eventually(|| {
        release.notify_one();
        std::future::ready(retrying.is_finished().then_some(()))
    })
    .await;
    assert_eq!(retrying.await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn callback_gets_the_reply_of_a_later_attempt() {
    let test = TestMesh::start().await;
    let runs = Arc::new(AtomicU32::new(0));
    test.mesh.register(flaky(2, &runs)).await.unwrap();
    let (sender, mut replies) = tokio::sync::mpsc::unbounded_channel();
    let send = |mesh: &AgentMesh, attempts| {
        let [replied, failed] = [sender.clone(), sender.clone()];
        mesh.send("flaky", ())
            .retry(quick(attempts))
            .on_reply(move |run: u32| async move { replied.send(Ok(run)).unwrap() })
            .on_error(move |error| async move { failed.send(Err(error)).unwrap() })
    };
    within(send(&test.mesh, 5)).await.unwrap();
    assert_eq!(within(replies.recv()).await.unwrap().unwrap(), 3);
    runs.store(0, Ordering::SeqCst);
    within(send(&test.mesh, 2)).await.unwrap();
    let error = within(replies.recv()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Overloaded);
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn stream_is_retried_only_before_its_first_chunk() {
    let test = TestMesh::start().await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    // Fails before, then after its first chunk.
    let halting = AgentSpec::new("halting", "Fails.").handler(move |(): ()| {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        let chunks = (0..run).map(Ok).chain([Err(overloaded())]);
        stream::iter(chunks.collect::<Vec<_>>())
    });
    let (slow, silent_runs) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (starts, late) = (Arc::clone(&slow), Arc::clone(&silent_runs));
    let pending = AgentSpec::new("pending", "Has no chunks.").handler(move |(): ()| {
        late.fetch_add(1, Ordering::SeqCst);
        stream::pending::<u32>()
    });
    let second = AgentSpec::new("second", "Answers the second attempt.")
        .idempotent()
        .handler(move |(): ()| {
            let is_first = starts.fetch_add(1, Ordering::SeqCst) == 0;
            let chunks = stream::iter([1_u32, 2]).then(move |n| async move {
                if is_first {
                    std::future::pending::<()>().await;
                }
                n
            });
            Box::pin(chunks)
        });
    test.mesh
        .register([halting, pending, second])
        .await
        .unwrap();
    let halting = test.mesh.stream::<u32>("halting", ()).retry(quick(5));
    let mut chunks = within(halting).await.unwrap();
    assert_eq!(within(chunks.next()).await.unwrap().unwrap(), 0);
    let error = within(chunks.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Overloaded);
    assert!(within(chunks.next()).await.is_none());
    assert_eq!(runs.load(Ordering::SeqCst), 2);

    let retry = quick(3).attempt_timeout(SHORT * 20);
    let chunks = test.mesh.stream::<u32>("second", ()).retry(retry.clone());
    let chunks: Result<Vec<u32>> =
        futures::TryStreamExt::try_collect(within(chunks).await.unwrap()).await;
    assert_eq!(chunks.unwrap(), [1, 2]);
    assert_eq!(slow.load(Ordering::SeqCst), 2);
    let pending = test.mesh.stream::<u32>("pending", ()).retry(retry);
    let mut chunks = within(pending).await.unwrap();
    let error = within(chunks.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Timeout);
    assert_eq!(silent_runs.load(Ordering::SeqCst), 1);
}

/// Counts `before` and `after`.
#[derive(Clone, Default)]
struct Counter(Arc<[AtomicU32; 2]>);

impl Interceptor for Counter {
    fn before(&self, _: &mut Exchange) -> Result<()> {
        self.0[0].fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn after(&self, _: &Exchange, _: &Completion<'_>) {
        self.0[1].fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn client_interceptors_run_around_each_attempt() {
    let test = TestMesh::start().await;
    let runs = Arc::new(AtomicU32::new(0));
    test.mesh.register(flaky(2, &runs)).await.unwrap();
    let counter = Counter::default();
    let builder = AgentMesh::builder().url(test.server.url());
    let caller = builder
        .intercept_client(counter.clone())
        .connect()
        .await
        .unwrap();
    within(caller.call::<u32>("flaky", ()).retry(quick(5)))
        .await
        .unwrap();
    let counts = || [0, 1].map(|index| counter.0[index].load(Ordering::SeqCst));
    assert_eq!(counts(), [3, 3]);
    runs.store(0, Ordering::SeqCst);
    let reply = caller.send("flaky", ()).retry(quick(5)).reply::<u32>();
    assert_eq!(within(within(reply).await.unwrap()).await.unwrap(), 3);
    assert_eq!(counts(), [6, 6]);
    synchronize(&test.raw().await).await;
}
