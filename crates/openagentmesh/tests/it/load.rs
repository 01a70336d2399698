//! Load: concurrent calls, queued calls, and bounded memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::role::{Peer, is_role};
use crate::support::{TestMesh, within};
use futures::stream::FuturesUnordered;
use futures::{StreamExt, future, stream};
use openagentmesh::{AgentMesh, AgentSpec, ErrorCode};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::{Barrier, Semaphore};

const CALLS: usize = 1_000;

/// An agent whose requests finish once `release` is closed; `most` is the highest number that ran at once.
fn gate(
    concurrency: usize,
    queue: usize,
    most: &Arc<AtomicUsize>,
    release: &Arc<Semaphore>,
) -> openagentmesh::Agent {
    let running = Arc::new(AtomicUsize::new(0));
    let (most, release) = (most.clone(), release.clone());
    AgentSpec::new("gate", "Answers when it is released.")
        .concurrency(concurrency)
        .queue(queue)
        .handler(move |n: usize| {
            let (running, most, release) = (running.clone(), most.clone(), release.clone());
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                release.acquire().await.expect_err("no permits");
                running.fetch_sub(1, Ordering::SeqCst);
                n
            }
        })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_calls_run_concurrently() {
    let test = TestMesh::start().await;
    let all_run = Arc::new(Barrier::new(CALLS));
    let agent = AgentSpec::new("meeting", "Answers when all calls have started.")
        .concurrency(CALLS)
        .handler(move |n: usize| {
            let all_run = all_run.clone();
            async move {
                all_run.wait().await;
                n
            }
        });
    test.mesh.register(agent).await.unwrap();
    let caller = test.peer().await;
    let calls = (0..CALLS).map(|n| caller.call::<usize>("meeting", n).into_future());
    let replies = within(future::try_join_all(calls)).await.unwrap();
    assert_eq!(replies, (0..CALLS).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_calls_beyond_concurrency_and_queue_are_overloaded() {
    let test = TestMesh::start().await;
    let (most, release) = (Arc::default(), Arc::new(Semaphore::new(0)));
    let agent = gate(4, 40, &most, &release);
    test.mesh.register(agent).await.unwrap();
    let caller = &test.peer().await;
    let calls = (0..CALLS).map(|n| async move { (n, caller.call::<usize>("gate", n).await) });
    let mut outcomes: FuturesUnordered<_> = calls.collect();
    // 4 requests run and 40 are queued until they are released. All others are refused before that.
    for _ in 44..CALLS {
        let (_, outcome) = within(outcomes.next()).await.unwrap();
        let error = outcome.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::Overloaded);
        assert_eq!(error.details()["in_flight"], 44);
        assert!(error.message().contains("44"), "{error}");
    }
    release.close();
    while let Some((n, outcome)) = within(outcomes.next()).await {
        assert_eq!(outcome.unwrap(), n);
    }
    assert_eq!(most.load(Ordering::SeqCst), 4);
}

#[tokio::test]
#[ignore = "role process of another test"]
async fn host_of_long_streams() {
    if !is_role() {
        return;
    }
    let mesh = AgentMesh::from_env().await.unwrap();
    let made = Arc::new(AtomicUsize::new(0));
    let counted = made.clone();
    let maker = AgentSpec::new("maker", "Makes long chunks.").handler(move |chunks: usize| {
        let made = counted.clone();
        stream::iter(0..chunks).map(move |n| {
            made.fetch_add(1, Ordering::SeqCst);
            format!("{n:01000}")
        })
    });
    mesh.register(maker).await.unwrap();
    println!("ready");
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(_)) = commands.next_line().await {
        println!("answer {}", made.load(Ordering::SeqCst));
    }
}

#[tokio::test]
#[ignore = "role process of another test"]
async fn slow_consumer() {
    if !is_role() {
        return;
    }
    let mesh = AgentMesh::from_env().await.unwrap();
    let mut chunks = mesh.stream::<String>("maker", 100_000).await.unwrap();
    println!("ready");
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(count)) = commands.next_line().await {
        for _ in 0..count.parse().unwrap() {
            chunks.next().await.unwrap().unwrap();
        }
        println!("answer taken");
    }
}

/// 100,000 chunks of a kilobyte are 100 MB. Neither side may hold more than a window of them.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn memory_with_a_slow_consumer_is_bounded() {
    /// In KiB; without a bound the 100,000 chunks would take 100 MiB and more.
    const FLAT: u64 = 48 * 1024;
    let test = TestMesh::start().await;
    let mut host = Peer::start("load::host_of_long_streams", test.server.url());
    host.reads("ready").await;
    let mut consumer = Peer::start("load::slow_consumer", test.server.url());
    consumer.reads("ready").await;
    consumer.ask("1").await;
    let before = (host.memory(), consumer.memory());
    // Between two chunks the host has time to make more than the window.
    for taken in 2..=50 {
        consumer.ask("1").await;
        let made: u64 = host.ask("made").await.parse().unwrap();
        assert!(
            made <= taken + 128 + 1,
            "{made} chunks were made when {taken} were taken"
        );
    }
    let after = (host.memory(), consumer.memory());
    assert!(
        after.0 <= before.0 + FLAT,
        "the host grew from {} to {} KiB",
        before.0,
        after.0
    );
    assert!(
        after.1 <= before.1 + FLAT,
        "the consumer grew from {} to {} KiB",
        before.1,
        after.1
    );
    // A fast consumer needs no more memory either.
    consumer.ask("20000").await;
    let drained = (host.memory(), consumer.memory());
    assert!(
        drained.0 <= before.0 + FLAT,
        "the host grew from {} to {} KiB",
        before.0,
        drained.0
    );
    assert!(
        drained.1 <= before.1 + FLAT,
        "the consumer grew from {} to {} KiB",
        before.1,
        drained.1
    );
}
