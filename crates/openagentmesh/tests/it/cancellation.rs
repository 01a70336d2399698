//! Cancellation: a handler is dropped when its caller drops the call, times out, or is killed.

use crate::support::role::{is_role, role};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Alive, Proxy, TestMesh, eventually, subscribed, within};
use futures::{StreamExt, stream};
use openagentmesh::{Agent, AgentMesh, AgentSpec, CancellationToken, Context, ErrorCode};
use serde_json::Value;
use tokio::process::Child;

/// The cancellation tokens of the contexts of all started handlers.
type Tokens = Arc<Mutex<Vec<CancellationToken>>>;

/// Agents that never finish; `alive` counts the handlers that run.
fn endless(alive: &Alive, tokens: &Tokens) -> Vec<Agent> {
    let (guards, seen) = (alive.clone(), tokens.clone());
    let sleeper = AgentSpec::new("sleeper", "Never answers.").handler(move |ctx: Context| {
        seen.lock().unwrap().push(ctx.cancellation().clone());
        let guard = guards.guard();
        async move {
            std::future::pending::<()>().await;
            drop(guard);
            0
        }
    });
    let (guards, seen) = (alive.clone(), tokens.clone());
    let ticker =
        AgentSpec::new("ticker", "Ticks without end.").handler(move |ctx: Context, millis: u64| {
            seen.lock().unwrap().push(ctx.cancellation().clone());
            let guard = guards.guard();
            stream::iter(0_u64..).then(move |n| {
                let _ = &guard;
                async move {
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    n
                }
            })
        });
    vec![sleeper, ticker]
}

struct Endless {
    test: TestMesh,
    caller: AgentMesh,
    alive: Alive,
    tokens: Tokens,
}

impl Endless {
    async fn start() -> Self {
        let test = TestMesh::start().await;
        let (alive, tokens) = (Alive::default(), Tokens::default());
        test.mesh.register(endless(&alive, &tokens)).await.unwrap();
        let caller = test.peer().await;
        Self {
            test,
            caller,
            alive,
            tokens,
        }
    }

    async fn all_tokens_fire(&self, count: usize) {
        eventually(|| async {
            let tokens = self.tokens.lock().unwrap();
            let fired = tokens.iter().filter(|token| token.is_cancelled()).count();
            (fired == count).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn dropped_call_drops_its_handler() {
    let endless = Endless::start().await;
    // First on a connection of its own, then on the connection of the host.
    for (count, caller) in [&endless.caller, &endless.test.mesh]
        .into_iter()
        .enumerate()
    {
        let call = tokio::spawn(caller.call::<u32>("sleeper", ()).into_future());
        endless.alive.are(1).await;
        call.abort();
        endless.alive.are(0).await;
        endless.all_tokens_fire(count + 1).await;
    }
}

#[tokio::test]
async fn timed_out_call_drops_its_handler() {
    let endless = Endless::start().await;
    let call = endless.caller.call::<u32>("sleeper", ());
    let error = within(call.timeout(Duration::from_secs(2)))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Timeout);
    endless.alive.are(0).await;
    endless.all_tokens_fire(1).await;
}

/// The host enforces the deadline that the request carries, for plain NATS clients too.
#[tokio::test]
async fn request_beyond_its_deadline_is_cancelled_and_answered() {
    let endless = Endless::start().await;
    let raw = endless.test.raw().await;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("X-Mesh-Timeout-Ms", "50");
    let reply = within(raw.request_with_headers("mesh.agent.sleeper", headers, "".into()))
        .await
        .unwrap();
    let object: Value = serde_json::from_slice(&reply.payload).unwrap();
    assert_eq!(object["code"], "timeout");
    endless.alive.are(0).await;
    endless.all_tokens_fire(1).await;
}

/// Such a handler ends each poll without budget, so that nothing else of tokio in its task is ready.
#[tokio::test]
async fn handler_without_tokio_budget_is_cancelled_at_its_deadline() {
    async fn busy(guard: crate::support::Guard) -> u32 {
        loop {
            tokio::task::coop::consume_budget().await;
            let _ = &guard;
        }
    }

    let test = TestMesh::start().await;
    let alive = Alive::default();
    let guards = alive.clone();
    let call = AgentSpec::new("call", "Never answers.").handler(move || {
        let guard = guards.guard();
        busy(guard)
    });
    let guards = alive.clone();
    let chunks = AgentSpec::new("chunks", "Never yields a chunk.").handler(move |_: u32| {
        let guard = guards.guard();
        stream::once(busy(guard))
    });
    test.mesh.register([call, chunks]).await.unwrap();
    let raw = test.raw().await;
    let mut chunks = subscribed(&raw, "mesh.stream.abc").await;

    let mut headers = async_nats::HeaderMap::new();
    headers.insert("X-Mesh-Timeout-Ms", "50");
    let call = raw.request_with_headers("mesh.agent.call", headers.clone(), "".into());
    let reply = within(call).await.unwrap();
    headers.insert("X-Mesh-Request-Id", "abc");
    headers.insert("X-Mesh-Stream", "true");
    let request = raw.publish_with_headers("mesh.agent.chunks", headers, "1".into());
    request.await.unwrap();
    let end = within(chunks.next()).await.unwrap();
    for answer in [reply, end] {
        let object: Value = serde_json::from_slice(&answer.payload).unwrap();
        assert_eq!(object["code"], "timeout");
    }
    alive.are(0).await;
}

#[tokio::test]
async fn queued_request_beyond_its_deadline_is_not_started() {
    let test = TestMesh::start().await;
    let started = Arc::new(Mutex::new(Vec::new()));
    let release = Arc::new(tokio::sync::Notify::new());
    let (seen, released) = (started.clone(), release.clone());
    let gate = AgentSpec::new("gate", "Runs one request at a time.")
        .concurrency(1)
        .handler(move |name: String| {
            seen.lock().unwrap().push(name);
            let released = released.clone();
            async move { released.notified().await }
        });
    test.mesh.register(gate).await.unwrap();
    let raw = test.raw().await;
    let mut errors = subscribed(&raw, "mesh.errors.gate").await;
    let first = tokio::spawn(test.mesh.call::<()>("gate", "first").into_future());
    eventually(|| async { (started.lock().unwrap().len() == 1).then_some(()) }).await;
    // This request stays queued until its deadline.
    let call = test
        .mesh
        .call::<()>("gate", "late")
        .timeout(Duration::from_millis(50));
    assert_eq!(within(call).await.unwrap_err().code(), &ErrorCode::Timeout);
    // The deadline at the host started later than at the caller.
    within(errors.next()).await.unwrap();
    release.notify_one();
    within(first).await.unwrap().unwrap();
    let last = tokio::spawn(test.mesh.call::<()>("gate", "last").into_future());
    eventually(|| async { (started.lock().unwrap().len() == 2).then_some(()) }).await;
    release.notify_one();
    within(last).await.unwrap().unwrap();
    assert_eq!(*started.lock().unwrap(), ["first", "last"]);
}

/// A cancelled request leaves the queue, and its place is free for the next one.
#[tokio::test]
async fn queued_request_of_a_dropped_call_is_not_started() {
    let test = TestMesh::start().await;
    let started = Arc::new(Mutex::new(Vec::new()));
    let release = Arc::new(tokio::sync::Notify::new());
    let (seen, released) = (started.clone(), release.clone());
    let gate = AgentSpec::new("gate", "Runs one request at a time, and queues three.")
        .concurrency(1)
        .queue(3)
        .handler(move |name: String| {
            seen.lock().unwrap().push(name);
            let released = released.clone();
            async move { released.notified().await }
        });
    test.mesh.register(gate).await.unwrap();
    let call = |name: &str| tokio::spawn(test.mesh.call::<()>("gate", name).into_future());
    let first = call("first");
    eventually(|| async { (started.lock().unwrap().len() == 1).then_some(()) }).await;
    // Once one call is refused, three are queued.
    let waiting = ["a", "b", "c", "d"].map(call);
    eventually(|| async { waiting.iter().any(|call| call.is_finished()).then_some(()) }).await;
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    let raw = test.raw().await;
    let last = eventually(|| async {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("X-Mesh-Timeout-Ms", "1");
        let request = raw.request_with_headers("mesh.agent.gate", headers, "\"late\"".into());
        let reply = within(request).await.unwrap();
        let object: Value = serde_json::from_slice(&reply.payload).unwrap();
        (object["code"] == "timeout").then_some(object)
    })
    .await;
    let message = last["message"].as_str().unwrap();
    assert!(
        message.contains("before the handler of agent 'gate' started"),
        "{message}"
    );
    release.notify_one();
    within(first).await.unwrap().unwrap();
    let last = call("last");
    eventually(|| async { (started.lock().unwrap().len() == 2).then_some(()) }).await;
    release.notify_one();
    within(last).await.unwrap().unwrap();
    assert_eq!(*started.lock().unwrap(), ["first", "last"]);
}

#[tokio::test]
async fn dropped_stream_drops_its_handler() {
    let endless = Endless::start().await;
    // Before the first chunk, after some chunks, and while the next chunk is a minute away.
    for (count, (millis, taken)) in [(1, 0), (1, 3), (0, 100), (60_000, 0)]
        .into_iter()
        .enumerate()
    {
        let mut chunks = endless
            .caller
            .stream::<u64>("ticker", millis)
            .await
            .unwrap();
        for n in 0..taken {
            assert_eq!(within(chunks.next()).await.unwrap().unwrap(), n);
        }
        eventually(|| async { (endless.tokens.lock().unwrap().len() == count + 1).then_some(()) })
            .await;
        drop(chunks);
        endless.alive.are(0).await;
        endless.all_tokens_fire(count + 1).await;
    }
}

#[tokio::test]
async fn dropped_reply_handle_drops_its_handler() {
    let endless = Endless::start().await;
    let reply = endless
        .caller
        .send("sleeper", ())
        .reply::<u32>()
        .await
        .unwrap();
    endless.alive.are(1).await;
    drop(reply);
    endless.alive.are(0).await;
}

/// A consumer of any SDK may unsubscribe without a message to the host.
#[tokio::test]
async fn stream_without_subscriber_is_cancelled_by_its_next_chunk() {
    let endless = Endless::start().await;
    let raw = endless.test.raw().await;
    let mut chunks = crate::support::subscribed(&raw, "mesh.stream.abc").await;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("X-Mesh-Request-Id", "abc");
    headers.insert("X-Mesh-Stream", "true");
    raw.publish_with_headers("mesh.agent.ticker", headers, "1".into())
        .await
        .unwrap();
    for seq in 0..3 {
        let chunk = within(chunks.next()).await.unwrap();
        let headers = chunk.headers.unwrap();
        assert_eq!(
            headers.get("X-Mesh-Stream-Seq").unwrap().as_str(),
            seq.to_string()
        );
        assert!(headers.get("X-Mesh-Probe").is_none());
    }
    chunks.unsubscribe().await.unwrap();
    endless.alive.are(0).await;
    endless.all_tokens_fire(1).await;
}

/// A request without the probe header is never probed.
#[tokio::test]
async fn caller_without_probe_support_gets_no_probes() {
    let test = TestMesh::start().await;
    let release = Arc::new(tokio::sync::Notify::new());
    let released = release.clone();
    let slow = AgentSpec::new("slow", "Answers when it is released.").handler(move || {
        let released = released.clone();
        async move { released.notified().await }
    });
    test.mesh.register(slow).await.unwrap();
    let raw = test.raw().await;
    let mut inboxes = crate::support::subscribed(&raw, "_INBOX.>").await;
    // The probe of the second call shows that a probe of the first was due.
    let unknowing = tokio::spawn({
        let raw = raw.clone();
        async move { raw.request("mesh.agent.slow", "".into()).await }
    });
    let ours = tokio::spawn(test.mesh.call::<()>("slow", ()).into_future());
    let probe = async {
        loop {
            let message = inboxes.next().await.unwrap();
            let headers = message.headers.unwrap_or_default();
            if headers.get("X-Mesh-Probe").is_some() {
                return;
            }
        }
    };
    within(probe).await;
    release.notify_waiters();
    within(ours).await.unwrap().unwrap();
    let reply = within(unknowing).await.unwrap().unwrap();
    assert_eq!(
        reply
            .headers
            .unwrap()
            .get("X-Mesh-Status")
            .unwrap()
            .as_str(),
        "ok"
    );
}

#[tokio::test]
async fn lost_connection_gets_no_probes() {
    let test = TestMesh::start().await;
    let proxy = Proxy::start(&test).await;
    let host = AgentMesh::connect(&proxy.url).await.unwrap();
    let release = Arc::new(tokio::sync::Notify::new());
    let slow = |name| {
        let released = release.clone();
        AgentSpec::new(name, "Answers when it is released.").handler(move || {
            let released = released.clone();
            async move { released.notified().await }
        })
    };
    host.register(slow("lost")).await.unwrap();
    test.mesh.register(slow("connected")).await.unwrap();
    let raw = test.raw().await;
    let request = async |agent: &str| {
        let reply = raw.new_inbox();
        let messages = subscribed(&raw, &reply).await;
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("X-Mesh-Probe", "true");
        let to = format!("mesh.agent.{agent}");
        let sent = raw.publish_with_reply_and_headers(to, reply, headers, "".into());
        sent.await.unwrap();
        messages
    };
    let is_probe = |message: &async_nats::Message| {
        let headers = message.headers.as_ref().unwrap();
        headers.get("X-Mesh-Probe").is_some()
    };
    let mut lost = request("lost").await;
    assert!(is_probe(&within(lost.next()).await.unwrap()));
    proxy.close();
    // As many probes would be due at the other host.
    let mut connected = request("connected").await;
    for _ in 0..5 {
        assert!(is_probe(&within(connected.next()).await.unwrap()));
    }
    release.notify_waiters();
    proxy.open();
    // One may have been sent before the client noticed the loss, and one before the reply.
    let mut probes = 0;
    while is_probe(&within(lost.next()).await.unwrap()) {
        probes += 1;
    }
    assert!(probes < 3, "{probes} probes");
}

/// The host cancels a request only after three consecutive probes without a subscriber.
#[tokio::test]
async fn call_across_a_reconnect_gets_its_reply() {
    let endless = Endless::start().await;
    let release = Arc::new(tokio::sync::Notify::new());
    let released = release.clone();
    let slow = AgentSpec::new("slow", "Answers when it is released.").handler(move || {
        let released = released.clone();
        async move { released.notified().await }
    });
    endless
        .test
        .mesh
        .register([slow, crate::support::echo()])
        .await
        .unwrap();
    let proxy = Proxy::start(&endless.test).await;
    let caller = AgentMesh::connect(&proxy.url).await.unwrap();
    let call = tokio::spawn(caller.call::<()>("slow", ()).into_future());
    let sleeper = tokio::spawn(caller.call::<u32>("sleeper", ()).into_future());
    endless.alive.are(1).await;
    proxy.cut();
    let echo = || caller.call::<String>("echo", "back");
    eventually(|| async { echo().timeout(Duration::from_secs(1)).await.ok() }).await;
    release.notify_one();
    within(call).await.unwrap().unwrap();
    endless.alive.are(1).await;
    sleeper.abort();
    endless.alive.are(0).await;
}

/// A process that calls or streams until it is killed.
struct Caller(Child);

impl Caller {
    fn start(test: &TestMesh, verb: &str) -> Self {
        let child = role("cancellation::caller_to_be_killed")
            .env("TEST_URL", test.server.url())
            .env("TEST_VERB", verb)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Ends the process by SIGKILL, so that it sends nothing more.
    async fn kill(&mut self) {
        self.0.kill().await.unwrap();
    }
}

#[tokio::test]
#[ignore = "role process of another test"]
async fn caller_to_be_killed() {
    if !is_role() {
        return;
    }
    let [url, verb] = ["TEST_URL", "TEST_VERB"].map(|name| std::env::var(name).unwrap());
    let mesh = AgentMesh::connect(url).await.unwrap();
    match verb.as_str() {
        "call" => drop(mesh.call::<u32>("sleeper", ()).await),
        "send" => {
            let reply = mesh.send("sleeper", ()).reply::<u32>().await.unwrap();
            drop(reply.await);
        }
        "stream" => {
            let mut chunks = mesh.stream::<u64>("ticker", 1).await.unwrap();
            while chunks.next().await.is_some() {}
        }
        _ => {
            let mut chunks = mesh.stream::<u64>("ticker", 60_000).await.unwrap();
            while chunks.next().await.is_some() {}
        }
    }
}

#[tokio::test]
async fn killed_callers_drop_their_handlers() {
    let endless = Endless::start().await;
    let verbs = ["call", "send", "stream", "slow stream"];
    let mut callers = verbs.map(|verb| Caller::start(&endless.test, verb));
    endless.alive.are(4).await;
    for caller in &mut callers {
        caller.kill().await;
    }
    endless.alive.are(0).await;
    endless.all_tokens_fire(4).await;
}
