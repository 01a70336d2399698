//! Requests whose host has ended, or no longer runs.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, stream};
use openagentmesh::async_nats;
use openagentmesh::{
    AgentMesh, AgentSpec, Completion, Error, ErrorCode, Exchange, Interceptor, Outcome,
};
use serde_json::json;
use tokio::sync::oneshot;

use crate::support::peer::Peer;
use crate::support::role::is_role;
use crate::support::{TestMesh, subscribed, within};

/// The time that no handler of these tests needs.
const LONG_MS: u64 = 60_000;

/// A process that serves `sleeper`, `ticker` and `blocker`.
struct Replica {
    peer: Peer,
    id: String,
    client_id: u64,
    server_id: String,
}

impl Replica {
    async fn start(test: &TestMesh) -> Self {
        let mut peer = Peer::start("dead_hosts::host", test.server.url());
        let line = peer.reads("ready").await;
        let mut words = line.split_whitespace().map(str::to_owned);
        let (id, server_id) = (words.next().unwrap(), words.next().unwrap());
        let client_id = words.next().unwrap().parse().unwrap();
        Self {
            peer,
            id,
            client_id,
            server_id,
        }
    }

    async fn start_three(test: &TestMesh) -> [Self; 3] {
        tokio::join!(Self::start(test), Self::start(test), Self::start(test)).into()
    }

    /// Publishes the notice of a monitor that the instance is down.
    async fn announce_down(&self, raw: &async_nats::Client) {
        let notice = json!({
            "instance_id": self.id, "reason": "disconnect", "detected_at": "2026-01-01T00:00:00Z",
            "agents": ["sleeper", "ticker"],
        });
        let subject = format!("mesh.instance.{}.down", self.id);
        publish(raw, subject, notice).await;
    }

    /// Publishes the advisory of a server that the connection has ended.
    async fn announce_disconnect(&self, raw: &async_nats::Client) {
        let name = format!("oam-host-{}", self.id);
        let advisory = json!({
            "server": {"id": self.server_id}, "client": {"id": self.client_id, "name": name},
        });
        publish(raw, "mesh.sys.disconnect".to_owned(), advisory).await;
    }
}

async fn publish(raw: &async_nats::Client, subject: String, body: serde_json::Value) {
    raw.publish(subject, body.to_string().into()).await.unwrap();
}

/// Publishes a notice that `agent` has lost its last host.
async fn announce_death(raw: &async_nats::Client, agent: &str) {
    let notice = json!({
        "agent": agent, "reason": "disconnect", "detected_at": "2026-01-01T00:00:00Z", "instance_id": "abc",
    });
    publish(raw, format!("mesh.death.{agent}"), notice).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "role process of another test"]
async fn host() {
    if !is_role() {
        return;
    }
    let client = async_nats::connect(std::env::var("OAM_URL").unwrap());
    let client = client.await.unwrap();
    let mesh = AgentMesh::builder().nats_client(client.clone());
    let mesh = mesh.connect().await.unwrap();
    let id = mesh.instance_id().to_string();
    let own = id.clone();
    let sleeper = AgentSpec::new("sleeper", "Replies late.").handler(move |ms: u64| {
        let own = own.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            own
        }
    });
    let ticker = AgentSpec::new("ticker", "Two chunks, and none after.")
        .handler(|n: u32| stream::iter(0..n).chain(stream::pending()));
    let blocker = AgentSpec::new("blocker", "Blocks its thread.").handler(
        |(before, ms): (u64, u64)| async move {
            let sleeping = move || std::thread::sleep(Duration::from_millis(before));
            tokio::task::spawn_blocking(sleeping).await.unwrap();
            std::thread::sleep(Duration::from_millis(ms));
            true
        },
    );
    mesh.register([sleeper, ticker, blocker]).await.unwrap();
    let info = client.server_info();
    println!("\nready {id} {} {}", info.server_id, info.client_id);
    std::future::pending::<()>().await;
}

/// The instances that have probed, each with the subject of the request.
struct Probes(async_nats::Subscriber);

impl Probes {
    async fn watch(raw: &async_nats::Client) -> Self {
        Self(subscribed(raw, "_INBOX.>").await)
    }

    /// The instance of the next probe, and the subject of its request.
    async fn next(&mut self) -> (String, String) {
        loop {
            let message = self.0.next().await.unwrap();
            let headers = message.headers.unwrap_or_default();
            if headers.get("X-Mesh-Probe").is_some() {
                let instance = headers.get("X-Mesh-Instance-Id").unwrap();
                return (instance.to_string(), message.subject.to_string());
            }
        }
    }

    /// Waits until `count` requests were probed. Returns the instance of each.
    async fn of(&mut self, count: usize) -> Vec<String> {
        let (mut requests, mut instances) = (HashSet::new(), Vec::new());
        within(async {
            while requests.len() < count {
                let (instance, request) = self.next().await;
                if requests.insert(request) {
                    instances.push(instance);
                }
            }
        })
        .await;
        instances
    }
}

#[tokio::test]
async fn killed_replica_fails_its_own_requests_only() {
    const REQUESTS: usize = 30;
    let test = TestMesh::start().await;
    let [victim, other, third] = Replica::start_three(&test).await;
    let raw = test.raw().await;
    let mut probes = Probes::watch(&raw).await;
    let calls = (0..REQUESTS).map(|_| test.mesh.call::<String>("sleeper", 20_000).into_future());
    let calls: FuturesUnordered<_> = calls.map(tokio::spawn).collect();
    let probed = probes.of(REQUESTS).await;
    let at_victim = probed.iter().filter(|id| **id == victim.id).count();
    assert!(at_victim > 0 && at_victim < REQUESTS, "{at_victim}");

    victim.peer.signal("KILL");
    victim.announce_down(&raw).await;
    let ended: Vec<_> = within(calls.map(Result::unwrap).collect()).await;
    // In the order of their ends: the handlers of the others were still running.
    let (died, replied) = ended.split_at(at_victim);
    for died in died {
        let error = died.as_ref().unwrap_err();
        assert_eq!(error.code(), &ErrorCode::AgentDied, "{error}");
        assert_eq!(error.agent(), Some("sleeper"));
        assert!(error.request_id().is_some());
        assert_eq!(error.details()["instance_id"], victim.id);
        assert!(error.message().contains(&victim.id), "{error}");
    }
    for replied in replied {
        let id = replied.as_ref().unwrap();
        assert!([&other.id, &third.id].contains(&id));
    }
    // New requests go to the others.
    for _ in 0..20 {
        within(test.mesh.call::<String>("sleeper", 1))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn killed_replica_fails_its_requests_that_it_has_not_probed() {
    const REQUESTS: usize = 30;
    let test = TestMesh::start().await;
    let [victim, other, third] = Replica::start_three(&test).await;
    let raw = test.raw().await;
    let mut probes = Probes::watch(&raw).await;
    // The server delivers requests to a frozen host, which probes none.
    victim.peer.signal("STOP");
    let calls = (0..REQUESTS).map(|_| test.mesh.call::<String>("sleeper", 20_000).into_future());
    let calls: FuturesUnordered<_> = calls.map(tokio::spawn).collect();
    probes.of(1).await;
    victim.peer.signal("KILL");
    let ended: Vec<_> = within(calls.map(Result::unwrap).collect()).await;
    // In the order of their ends: the handlers of the others were still running.
    let at_victim = ended.iter().filter(|ended| ended.is_err()).count();
    assert!(at_victim > 0 && at_victim < REQUESTS, "{at_victim}");
    let (died, replied) = ended.split_at(at_victim);
    for died in died {
        let error = died.as_ref().unwrap_err();
        assert_eq!(error.code(), &ErrorCode::AgentDied, "{error}");
        assert_eq!(error.details()["instance_id"], victim.id);
    }
    for replied in replied {
        let id = replied.as_ref().unwrap();
        assert!([&other.id, &third.id].contains(&id));
    }
}

/// Records the codes of failed requests.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl Interceptor for Recorder {
    fn after(&self, _exchange: &Exchange, completion: &Completion<'_>) {
        let outcome = match completion.outcome {
            Outcome::Failed(error) => error.code().to_string(),
            _ => "another".to_owned(),
        };
        self.0.lock().unwrap().push(outcome);
    }
}

#[tokio::test]
async fn killed_host_fails_every_verb() {
    let test = TestMesh::start().await;
    let host = Replica::start(&test).await;
    let recorder = Recorder::default();
    let builder = AgentMesh::builder().url(test.server.url());
    let caller = builder.intercept_client(recorder.clone());
    let caller = within(caller.connect()).await.unwrap();
    let raw = test.raw().await;
    let mut results = subscribed(&raw, "mesh.results.>").await;
    let mut probes = Probes::watch(&raw).await;

    let call = tokio::spawn(caller.call::<String>("sleeper", LONG_MS).into_future());
    let reply = caller.send("sleeper", LONG_MS).reply::<String>();
    let reply = within(reply).await.unwrap();
    let (on_error, error) = oneshot::channel::<Error>();
    let callback = caller
        .send("sleeper", LONG_MS)
        .on_error(|error| async move {
            on_error.send(error).unwrap();
        });
    within(callback).await.unwrap();
    let mut chunks = within(caller.stream::<u32>("ticker", 2)).await.unwrap();
    for n in 0..2 {
        assert_eq!(within(chunks.next()).await.unwrap().unwrap(), n);
    }
    assert_eq!(probes.of(3).await, vec![host.id.clone(); 3]);
    within(results.next()).await.unwrap();

    host.peer.signal("KILL");
    host.announce_disconnect(&raw).await;
    let errors = [
        within(call).await.unwrap().unwrap_err(),
        within(reply).await.unwrap_err(),
        within(error).await.unwrap(),
        within(chunks.next()).await.unwrap().unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.code(), &ErrorCode::AgentDied, "{error}");
        assert_eq!(error.details()["instance_id"], host.id);
    }
    assert!(within(chunks.next()).await.is_none());
    assert_eq!(*recorder.0.lock().unwrap(), ["agent_died"; 4]);
}

#[tokio::test]
async fn frozen_host_fails_its_requests_after_three_missing_probes() {
    let test = TestMesh::start().await;
    let host = Replica::start(&test).await;
    let raw = test.raw().await;
    let mut probes = Probes::watch(&raw).await;
    let call = test.mesh.call::<String>("sleeper", LONG_MS);
    let mut call = tokio::spawn(call.into_future());
    let mut chunks = within(test.mesh.stream::<u32>("ticker", 2)).await.unwrap();
    probes.of(2).await;
    host.peer.signal("STOP");
    // Until now, probes that were sent before the signal may arrive.
    let mut last = Instant::now();
    let error = within(async {
        loop {
            tokio::select! {
                biased;
                _ = probes.next() => last = Instant::now(),
                ended = &mut call => return ended.unwrap().unwrap_err(),
            }
        }
    })
    .await;
    assert_eq!(error.code(), &ErrorCode::AgentDied, "{error}");
    assert_eq!(error.details()["instance_id"], host.id);
    assert!(last.elapsed() >= Duration::from_secs(4), "{last:?}");
    let ended = async {
        loop {
            if let Err(error) = chunks.next().await.unwrap() {
                return error;
            }
        }
    };
    assert_eq!(within(ended).await.code(), &ErrorCode::AgentDied);
    assert!(within(chunks.next()).await.is_none());
    host.peer.signal("CONT");
    within(test.mesh.call::<String>("sleeper", 1))
        .await
        .unwrap();
}

#[tokio::test]
async fn forged_notices_fail_no_request_and_lead_to_few_questions() {
    const SLEEP_MS: u64 = 6000;
    let test = TestMesh::start().await;
    let host = Replica::start(&test).await;
    let raw = test.raw().await;
    let started = std::time::Instant::now();
    let reads = subscribed(&raw, "$JS.API.STREAM.MSG.GET.KV_mesh-instances").await;
    let mut probes = Probes::watch(&raw).await;
    let call = test.mesh.call::<String>("sleeper", SLEEP_MS);
    let mut call = tokio::spawn(call.into_future());
    probes.of(1).await;
    let mut notices = 0;
    let forge = async {
        loop {
            for _ in 0..20 {
                host.announce_down(&raw).await;
                host.announce_disconnect(&raw).await;
                announce_death(&raw, "sleeper").await;
                notices += 3;
            }
            raw.flush().await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let reply = tokio::select! {
        reply = within(&mut call) => reply.unwrap(),
        () = forge => unreachable!(),
    };
    assert_eq!(reply.unwrap(), host.id);
    raw.flush().await.unwrap();
    let reads = reads.take_until(tokio::time::sleep(Duration::from_millis(100)));
    let reads = within(reads.count()).await;
    assert!(reads > 1, "the notices were not read");
    // In each second one of the caller, and ten of the host's monitor.
    let most = 30 + 11 * started.elapsed().as_secs();
    assert!(
        notices > 500 && (reads as u64) < most,
        "{reads} reads, {notices} notices"
    );
}

/// A host that sends no probes, such as one of the published Python SDK.
#[tokio::test]
async fn request_without_a_probe_fails_after_the_death_of_its_agent_only() {
    let test = TestMesh::start().await;
    let raw = test.raw().await;
    let host = test.raw().await;
    let mut requests = subscribed(&host, "mesh.agent.old").await;
    let call = test.mesh.call::<String>("old", "x").into_future();
    let mut call = tokio::spawn(call);
    let (on_error, error) = oneshot::channel::<Error>();
    let callback = test.mesh.send("old", "x").on_error(|error| async move {
        on_error.send(error).unwrap();
    });
    within(callback).await.unwrap();
    for _ in 0..2 {
        within(requests.next()).await.unwrap();
    }
    let announce = async {
        loop {
            announce_death(&raw, "old").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // The death is forged: the host is connected.
    let forged = tokio::time::timeout(Duration::from_secs(3), async {
        tokio::select! {
            ended = &mut call => ended.unwrap(),
            () = announce => unreachable!(),
        }
    });
    assert!(forged.await.is_err());
    host.drain().await.unwrap();
    drop(requests);
    let announce = async {
        loop {
            announce_death(&raw, "old").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let both = async { (call.await.unwrap().unwrap_err(), error.await.unwrap()) };
    let (call, callback) = tokio::select! {
        both = within(both) => both,
        () = announce => unreachable!(),
    };
    for error in [call, callback] {
        assert_eq!(error.code(), &ErrorCode::AgentDied, "{error}");
    }
}

#[tokio::test]
async fn handler_that_blocks_its_thread_is_alive() {
    let test = TestMesh::start().await;
    let _host = Replica::start(&test).await;
    let call = test.mesh.call::<bool>("blocker", (300, 9000));
    assert!(within(call).await.unwrap());
}

#[tokio::test]
#[ignore = "role process of another test"]
async fn caller() {
    if !is_role() {
        return;
    }
    let mesh = AgentMesh::connect(std::env::var("OAM_URL").unwrap());
    let mesh = mesh.await.unwrap();
    let call = mesh.call::<String>("sleeper", 12_000).into_future();
    let reply = call.map(|reply| reply.map_or_else(|error| format!("{error:?}"), |_| "ok".into()));
    println!("\nanswer {}", reply.await);
}

#[tokio::test]
async fn frozen_caller_does_not_take_a_living_host_for_dead() {
    let test = TestMesh::start().await;
    let _host = Replica::start(&test).await;
    let raw = test.raw().await;
    let mut probes = Probes::watch(&raw).await;
    let mut caller = Peer::start("dead_hosts::caller", test.server.url());
    probes.of(1).await;
    caller.signal("STOP");
    tokio::time::sleep(Duration::from_secs(8)).await;
    caller.signal("CONT");
    assert_eq!(caller.reads("answer").await, "ok");
}
