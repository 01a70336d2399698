//! Handlers that block their thread.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use openagentmesh::{AgentMesh, AgentSpec};

use crate::support::{TestMesh, within};

/// The time that a handler blocks if the test does not end it.
const BLOCKED_TIMEOUT: Duration = Duration::from_secs(15);

/// A handler that blocks one thread does not hold up other requests of its agent, also when many quick
/// requests came before.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn blocking_handler_does_not_hold_up_other_requests() {
    let test = TestMesh::start().await;
    let (started, mut starts) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let agent = AgentSpec::new("agent", "Blocks on request.").handler(move |blocks: bool| {
        let (started, released) = (started.clone(), released.clone());
        async move {
            if blocks {
                started.send(()).unwrap();
                // Whether the test released the handler in time.
                return released
                    .lock()
                    .unwrap()
                    .recv_timeout(BLOCKED_TIMEOUT)
                    .is_ok();
            }
            false
        }
    });
    test.mesh.register(agent).await.unwrap();
    let quick = || test.mesh.call::<bool>("agent", false);
    for before in [0, 100] {
        for _ in 0..before {
            within(quick()).await.unwrap();
        }
        let caller = test.mesh.clone();
        let blocked = tokio::spawn(async move { caller.call::<bool>("agent", true).await });
        let waiting = tokio::task::spawn_blocking(move || (starts.recv(), starts));
        let (start, receiver) = within(waiting).await.unwrap();
        start.unwrap();
        starts = receiver;
        for _ in 0..20 {
            within(quick()).await.unwrap();
        }
        release.send(()).unwrap();
        let released_in_time = within(blocked).await.unwrap().unwrap();
        assert!(
            released_in_time,
            "quick requests waited for the blocked one"
        );
    }
}

/// The host and its connection have one thread, which the handler blocks after the first chunk.
#[tokio::test]
async fn first_chunk_leaves_before_the_handler_blocks_for_the_second() {
    let test = TestMesh::start().await;
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let agent = AgentSpec::new("agent", "Blocks for its second chunk.").handler(move |(): ()| {
        let released = Arc::clone(&released);
        // Whether the chunk did not wait until the end of the time.
        stream::iter([false, true]).map(move |blocks| {
            !blocks
                || released
                    .lock()
                    .unwrap()
                    .recv_timeout(BLOCKED_TIMEOUT)
                    .is_ok()
        })
    });
    test.mesh.register(agent).await.unwrap();
    let url = test.server.url().to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let caller = AgentMesh::connect(url).await.unwrap();
            let mut chunks = caller.stream::<bool>("agent", ()).await.unwrap();
            let first = within(chunks.try_next()).await.unwrap().unwrap();
            release.send(()).unwrap();
            let others: Vec<bool> = within(chunks.try_collect()).await.unwrap();
            (first, others)
        })
    });
    assert_eq!(within(reading).await.unwrap(), (true, vec![true]));
}
