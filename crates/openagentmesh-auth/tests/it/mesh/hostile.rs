//! Users of each role who send what harms or what they may not send.
//!
//! They send as fast as they can, or `OAM_ATTACK_RATE` messages a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use openagentmesh::{AgentMesh, Retry};
use openagentmesh_auth::{Grants, GrantsBuilder, Role};
use tokio::time::Interval;

use super::{Mesh, agents, eventually, within};

const MESSAGES: usize = 10_000;

/// The calls that are timed without an attack.
const QUIET_CALLS: usize = 300;

/// Calls one after another until `stop`, or `max` times. A value is put and read after each. Returns the durations of the calls.
async fn call_until(
    caller: AgentMesh,
    worker: AgentMesh,
    stop: Arc<AtomicBool>,
    max: usize,
) -> Vec<Duration> {
    let mut durations = Vec::new();
    while durations.len() < max && !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        // Who may call an agent may overload its host, which says so at once.
        let call = caller.call("shop.price", "abc");
        let call = call.retry(Retry::attempts(100));
        let length: usize = within(call).await.unwrap();
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

/// The durations that half of all and 99 % of all are within.
fn percentiles(mut durations: Vec<Duration>) -> (Duration, Duration) {
    durations.sort_unstable();
    let at = |percent| durations[(durations.len() - 1) * percent / 100];
    (at(50), at(99))
}

/// Waits after every tenth message for as long as the rate says.
struct Pace(Option<Interval>);

impl Pace {
    const BATCH: usize = 10;

    fn new() -> Self {
        let rate = std::env::var("OAM_ATTACK_RATE").ok();
        let rate = rate.map(|rate| rate.parse::<f64>().unwrap());
        let interval = |rate| Duration::from_secs_f64(Self::BATCH as f64 / rate);
        Self(rate.map(|rate| tokio::time::interval(interval(rate))))
    }

    async fn sent(&mut self, number: usize) {
        if let Self(Some(interval)) = self
            && number.is_multiple_of(Self::BATCH)
        {
            interval.tick().await;
        }
    }
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
            // A well-formed death or catalog of a monitor is believed.
            vec![
                "mesh.death.shop.price",
                "$KV.mesh-catalog.catalog",
                "mesh.logs.shop.price",
                "$KV.mesh-leases.x",
            ],
        ),
    ]
}

const BODIES: [&[u8]; 5] = [b"", b"{", b"\xff\xfe\x00", b"[[[[[[[[", b"{\"agents\": 7}"];

async fn send_malformed(raw: &async_nats::Client, subjects: &[&str]) {
    let mut pace = Pace::new();
    for number in 0..MESSAGES {
        let mut headers = HeaderMap::new();
        headers.insert("X-Mesh-Request-Id", "a..b");
        headers.insert("X-Mesh-Stream-Seq", "-1");
        let subject = subjects[number % subjects.len()].to_owned();
        let body = BODIES[number % BODIES.len()];
        raw.publish_with_headers(subject, headers, body.into())
            .await
            .unwrap();
        pace.sent(number).await;
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
    let mut pace = Pace::new();
    for number in 0..MESSAGES {
        let subject = FORBIDDEN[number % FORBIDDEN.len()];
        raw.publish(subject, "{}".into()).await.unwrap();
        pace.sent(number).await;
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
        let stop = Arc::new(AtomicBool::new(false));
        let calls = |max| call_until(caller.clone(), worker.clone(), Arc::clone(&stop), max);
        let before = percentiles(tokio::spawn(calls(QUIET_CALLS)).await.unwrap());
        let calling = tokio::spawn(calls(usize::MAX));
        within(send_malformed(&raw, &subjects)).await;
        within(send_forbidden(&raw)).await;
        stop.store(true, Ordering::Relaxed);
        let during = percentiles(within(calling).await.unwrap());
        println!("{role}: p50 and p99 {before:?} without, {during:?} during the attack");
        // A malformed catalog is an error of a fresh read until the monitor has replaced it.
        eventually(|| async {
            let listed = caller.catalog().channel("shop").fresh().await;
            listed.ok().filter(|listed| listed.len() == 3)
        })
        .await;
    }
    within(worker.shutdown()).await.unwrap();
    mesh.end().await;
}
