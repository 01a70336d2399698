//! Interceptors around streams.

use futures::{StreamExt, TryStreamExt};
use openagentmesh::CancelReason;
use openagentmesh::protocol::Verb;

use super::{ended, recorded};
use crate::support::within;

#[tokio::test]
async fn stream_ends_with_each_outcome_and_its_chunks_once() {
    let (_test, caller, recorder, alive) = recorded().await;
    let chunks = caller.stream::<u32>("counter", 500).await.unwrap();
    let all: Vec<u32> = within(chunks.try_collect()).await.unwrap();
    assert_eq!(all.len(), 500);
    for (agent, failures) in [("broken", 1), ("nosuch", 1)] {
        let chunks = caller.stream::<u32>(agent, 1).await.unwrap();
        let results: Vec<_> = within(chunks.collect()).await;
        assert_eq!(
            results.iter().filter(|chunk| chunk.is_err()).count(),
            failures
        );
    }
    caller.stream::<u32>("echo", "x").await.unwrap_err();
    let mut chunks = caller.stream::<String>("counter", 5).await.unwrap();
    within(chunks.next()).await.unwrap().unwrap_err();
    assert!(within(chunks.next()).await.is_none());
    let expected = [
        ended("counter", Verb::Stream, "replied", 500),
        ended("broken", Verb::Stream, "rate_limited", 1),
        ended("nosuch", Verb::Stream, "not_found", 0),
        ended("echo", Verb::Stream, "invocation_mismatch", 0),
        ended("counter", Verb::Stream, "unexpected_reply", 1),
    ];
    assert_eq!(recorder.take().await, expected);

    let mut chunks = caller.stream::<u32>("endless", 1).await.unwrap();
    for n in 0..3 {
        assert_eq!(within(chunks.next()).await.unwrap().unwrap(), n);
    }
    drop(chunks);
    alive.are(0).await;
    let cancelled = CancelReason::CallerDisconnected.as_str();
    let expected = [ended("endless", Verb::Stream, cancelled, 3)];
    assert_eq!(recorder.take().await, expected);
}
