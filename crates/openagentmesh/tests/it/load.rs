//! Load: concurrent calls and queued calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{TestMesh, within};
use futures::stream::FuturesUnordered;
use futures::{StreamExt, future};
use openagentmesh::{AgentSpec, ErrorCode};
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
