//! Users of each role who send what harms or what they may not send.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use openagentmesh::AgentMesh;
use openagentmesh_auth::{Grants, GrantsBuilder, Role};

use super::{Mesh, agents, within};

const MESSAGES: usize = 10_000;

/// Calls one after another until `stop`, and counts the values that are put. Returns the durations of the calls.
async fn call_until(caller: AgentMesh, worker: AgentMesh, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let mut durations = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        let length: usize = within(caller.call("shop.price", "abc")).await.unwrap();
        durations.push(started.elapsed());
        assert_eq!(length, 3);
        let number = durations.len();
        let put = worker.kv().put("number", number.to_string());
        within(put).await.unwrap();
        let read = within(caller.kv().get("number")).await.unwrap().unwrap();
        assert_eq!(read.json::<usize>().unwrap(), number, "a value was lost");
    }
    durations
}

fn p99(mut durations: Vec<Duration>) -> Duration {
    durations.sort_unstable();
    durations[durations.len() * 99 / 100]
}

/// The p99 of 300 calls without an attack.
async fn quiet(caller: &AgentMesh) -> Duration {
    let mut durations = Vec::new();
    for _ in 0..300 {
        let started = Instant::now();
        within(caller.call::<usize>("shop.price", "abc"))
            .await
            .unwrap();
        durations.push(started.elapsed());
    }
    p99(durations)
}

/// Each role with the subjects to which it may publish, for malformed messages.
fn roles() -> Vec<(&'static str, GrantsBuilder, Vec<&'static str>)> {
    let shop = || "shop.>".parse().unwrap();
    vec![
        (
            "observer",
            Grants::builder(Role::Observer),
            vec![
                "$JS.API.STREAM.MSG.GET.KV_mesh-catalog",
                "$SYS.REQ.USER.INFO",
            ],
        ),
        (
            "invoker",
            Grants::builder(Role::Invoker).agent(shop()),
            vec![
                "mesh.agent.shop.price",
                "mesh.agent.shop.count",
                "_INBOX.x.y",
            ],
        ),
        (
            "worker",
            Grants::builder(Role::Worker).agent("mall.>".parse().unwrap()),
            vec![
                "$KV.mesh-registry.mall.price",
                "$KV.mesh-instances.worker.x",
                "mesh.death.mall.price",
                "mesh.logs.mall.price",
                "mesh.stream.x.y",
            ],
        ),
        (
            "monitor",
            Grants::builder(Role::Monitor),
            // A monitor is trusted with the catalog and with deaths.
            vec!["mesh.logs.shop.price", "$KV.mesh-leases.x"],
        ),
    ]
}

const BODIES: [&[u8]; 5] = [b"", b"{", b"\xff\xfe\x00", b"[[[[[[[[", b"{\"agents\": 7}"];

async fn send_malformed(raw: &async_nats::Client, subjects: &[&str]) {
    for number in 0..MESSAGES {
        let mut headers = HeaderMap::new();
        headers.insert("X-Mesh-Request-Id", "a..b");
        headers.insert("X-Mesh-Stream-Seq", "-1");
        let subject = subjects[number % subjects.len()].to_owned();
        let body = BODIES[number % BODIES.len()];
        raw.publish_with_headers(subject, headers, body.into())
            .await
            .unwrap();
    }
    raw.flush().await.unwrap();
}

async fn send_forbidden(raw: &async_nats::Client) {
    const FORBIDDEN: [&str; 5] = [
        "mesh.agent.bank.pay",
        "$KV.mesh-observability.global",
        "$JS.API.STREAM.PURGE.KV_mesh-registry",
        "$JS.API.CONSUMER.CREATE.KV_mesh-context",
        "orders.new",
    ];
    for number in 0..MESSAGES {
        let subject = FORBIDDEN[number % FORBIDDEN.len()];
        raw.publish(subject, "{}".into()).await.unwrap();
    }
    raw.flush().await.unwrap();
}

/// The durations are printed, and not judged: the machine is shared.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_user_of_each_role_costs_the_others_nothing() {
    let mesh = Mesh::start().await;
    let worker = mesh.worker("ada", "shop").await;
    within(worker.register(agents("shop"))).await.unwrap();
    let caller = mesh.invoker("bob").await;
    for (role, grants, subjects) in roles() {
        let raw = mesh.server.nats(role, &grants.build().unwrap()).await;
        let before = quiet(&caller).await;
        let stop = Arc::new(AtomicBool::new(false));
        let calling = tokio::spawn(call_until(
            caller.clone(),
            worker.clone(),
            Arc::clone(&stop),
        ));
        within(send_malformed(&raw, &subjects)).await;
        within(send_forbidden(&raw)).await;
        stop.store(true, Ordering::Relaxed);
        let during = p99(within(calling).await.unwrap());
        println!("{role}: p99 {before:?} without, {during:?} during the attack");
        let listed = within(caller.catalog().channel("shop").fresh())
            .await
            .unwrap();
        assert_eq!(listed.len(), 3, "{role}");
    }
    within(worker.shutdown()).await.unwrap();
    mesh.end().await;
}
