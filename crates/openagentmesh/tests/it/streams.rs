//! Streams: order, completeness, flow control, and every way in which they end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::support::{Alive, TestMesh, eventually, stands_still, subscribed, synchronize, within};
use futures::{StreamExt, TryStreamExt, stream};
use openagentmesh::{AgentSpec, Error, ErrorCode};
use serde_json::Value;
use tokio::sync::Notify;

fn counter() -> openagentmesh::Agent {
    AgentSpec::new("counter", "Counts up to a number.").handler(|to: u64| stream::iter(0..to))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundred_thousand_chunks_arrive_in_order() {
    let test = TestMesh::start().await;
    test.mesh.register(counter()).await.unwrap();
    let caller = test.peer().await;
    let mut chunks = within(caller.stream::<u64>("counter", 100_000))
        .await
        .unwrap();
    let mut next = 0;
    within(async {
        while let Some(n) = chunks.try_next().await.unwrap() {
            assert_eq!(n, next);
            next += 1;
        }
    })
    .await;
    assert_eq!(next, 100_000);
}

#[tokio::test]
async fn stream_with_a_small_window_is_complete() {
    let test = TestMesh::start().await;
    test.mesh.register(counter()).await.unwrap();
    for window in [0, 1, 2, 3] {
        let chunks = test
            .mesh
            .stream::<u64>("counter", 10)
            .window(window)
            .await
            .unwrap();
        let all: Vec<u64> = within(chunks.try_collect()).await.unwrap();
        assert_eq!(all, (0..10).collect::<Vec<_>>(), "{window}");
    }
}

#[tokio::test]
async fn error_or_panic_ends_the_stream_after_its_chunks() {
    let test = TestMesh::start().await;
    let spec = |name| AgentSpec::new(name, "Fails after two chunks.");
    let failing = spec("failing")
        .result_handler(|error: String| stream::iter([Ok(1), Ok(2), Err(error), Ok(4)]));
    let coded = spec("coded").handler(|_: String| {
        stream::iter([
            Ok(1),
            Ok(2),
            Err(Error::new("rate_limited", "come back later")),
        ])
    });
    let panicking = spec("panicking").handler(|reason: String| {
        stream::iter(1..=3).map(move |n| if n == 3 { panic!("{reason}") } else { n })
    });
    let early = spec("early").handler(|reason: String| {
        assert!(reason.is_empty(), "{reason}");
        stream::iter([1])
    });
    test.mesh
        .register([failing, coded, panicking, early])
        .await
        .unwrap();
    let raw = test.raw().await;
    let mut letters = crate::support::subscribed(&raw, "mesh.errors.>").await;

    for (name, before, code, message) in [
        ("failing", 2, "handler_error", "the disk is full"),
        ("coded", 2, "rate_limited", "come back later"),
        ("panicking", 2, "handler_error", "the disk is full"),
        ("early", 0, "handler_error", "the disk is full"),
    ] {
        let mut chunks = test
            .mesh
            .stream::<u32>(name, "the disk is full")
            .await
            .unwrap();
        for n in 1..=before {
            assert_eq!(within(chunks.next()).await.unwrap().unwrap(), n, "{name}");
        }
        let error = within(chunks.next()).await.unwrap().unwrap_err();
        assert_eq!(error.code().as_str(), code, "{name}");
        let prefix = error.message().strip_suffix(message).expect(name);
        let panics = name == "panicking" || name == "early";
        assert_eq!(prefix.is_empty(), !panics, "{error}");
        assert_eq!(prefix.contains("panicked"), panics, "{error}");
        assert_eq!(error.agent(), Some(name));
        assert!(
            within(chunks.next()).await.is_none(),
            "{name}: a chunk after the error"
        );
        let letter = within(letters.next()).await.unwrap();
        assert_eq!(letter.subject.as_str(), format!("mesh.errors.{name}"));
        let object: Value = serde_json::from_slice(&letter.payload).unwrap();
        assert_eq!(object["request_id"].as_str(), error.request_id());
    }
}

#[tokio::test]
async fn invalid_input_or_oversized_chunk_ends_the_stream_with_an_error() {
    let test = TestMesh::with_max_payload(64 * 1024).await;
    let spec = AgentSpec::new("growing", "Streams texts of growing length.");
    let growing = spec.handler(|to: u32| stream::iter((0..to).map(|n| "x".repeat(1 << n))));
    test.mesh.register(growing).await.unwrap();
    let mut chunks = test.mesh.stream::<String>("growing", "many").await.unwrap();
    let error = within(chunks.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvalidInput);
    assert_eq!(error.details()["errors"][0]["location"], "");

    let chunks = test.mesh.stream::<String>("growing", 30).await.unwrap();
    let results: Vec<_> = within(chunks.collect()).await;
    assert_eq!(results.len(), 17, "chunks of up to 32 KiB fit");
    let error = results.last().unwrap().as_ref().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::PayloadTooLarge);
}

#[tokio::test]
async fn chunk_of_another_type_ends_the_stream_and_its_handler() {
    let test = TestMesh::start().await;
    let alive = Alive::default();
    let spec = AgentSpec::new("endless", "Never stops.");
    let guarded = alive.clone();
    let endless = spec.handler(move |_: u32| {
        let guard = guarded.guard();
        stream::iter(0_u64..).map(move |n| {
            let _ = &guard;
            n
        })
    });
    test.mesh.register(endless).await.unwrap();
    let mut chunks = test.mesh.stream::<String>("endless", 1).await.unwrap();
    let error = within(chunks.next()).await.unwrap().unwrap_err();
    assert!(error.message().contains("String"), "{error}");
    assert!(within(chunks.next()).await.is_none());
    alive.are(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_consumer_slows_its_producer() {
    let test = TestMesh::start().await;
    let made = Arc::new(AtomicU64::new(0));
    let counted = made.clone();
    let spec = AgentSpec::new("maker", "Counts the chunks that it makes.");
    let maker = spec.handler(move |to: u64| {
        let made = counted.clone();
        stream::iter(0..to).inspect(move |_| {
            made.fetch_add(1, Ordering::SeqCst);
        })
    });
    test.mesh.register(maker).await.unwrap();
    let caller = test.peer().await;
    let mut chunks = caller
        .stream::<u64>("maker", 100_000)
        .window(16)
        .await
        .unwrap();
    // The producer makes the window and one chunk ahead, and no more.
    for taken in 0..100 {
        assert_eq!(within(chunks.next()).await.unwrap().unwrap(), taken);
        let made = made.load(Ordering::SeqCst);
        assert!(
            made <= taken + 1 + 16 + 1,
            "{made} made when {taken} was taken"
        );
    }
    eventually(|| async { (made.load(Ordering::SeqCst) >= 100).then_some(()) }).await;
}

#[tokio::test]
async fn stream_without_chunks_is_a_timeout() {
    let test = TestMesh::start().await;
    let alive = Alive::default();
    let guarded = alive.clone();
    let spec = AgentSpec::new("stuck", "Sends one chunk and never ends.");
    let stuck = spec.handler(move |_: u32| {
        let guard = guarded.guard();
        stream::iter([1]).chain(stream::pending()).map(move |n| {
            let _ = &guard;
            n
        })
    });
    test.mesh.register(stuck).await.unwrap();

    let request = test.mesh.stream::<u32>("stuck", 1);
    let mut chunks = request
        .chunk_timeout(Duration::from_millis(2500))
        .await
        .unwrap();
    assert_eq!(within(chunks.next()).await.unwrap().unwrap(), 1);
    let error = within(chunks.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Timeout);
    assert!(error.message().contains("2.5s"), "{error}");
    assert!(within(chunks.next()).await.is_none());
    alive.are(0).await;

    let request = test.mesh.stream::<u32>("stuck", 1);
    let mut chunks = request.timeout(Duration::from_secs(2)).await.unwrap();
    assert_eq!(within(chunks.next()).await.unwrap().unwrap(), 1);
    let error = within(chunks.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Timeout);
    alive.are(0).await;
}

#[tokio::test]
async fn lost_chunk_is_a_sequence_error() {
    let test = TestMesh::start().await;
    let raw = test.raw().await;
    let mut requests = crate::support::subscribed(&raw, "mesh.agent.lossy").await;
    let host = tokio::spawn(async move {
        let request = requests.next().await.unwrap();
        let id = request
            .headers
            .unwrap()
            .get("X-Mesh-Request-Id")
            .unwrap()
            .to_string();
        for seq in ["0", "1", "3"] {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("X-Mesh-Stream-Seq", seq);
            headers.insert("X-Mesh-Stream-End", "false");
            raw.publish_with_headers(format!("mesh.stream.{id}"), headers, seq.into())
                .await
                .unwrap();
        }
        raw.flush().await.unwrap();
        raw
    });
    let mut chunks = test.mesh.stream::<u32>("lossy", ()).await.unwrap();
    assert_eq!(within(chunks.next()).await.unwrap().unwrap(), 0);
    assert_eq!(within(chunks.next()).await.unwrap().unwrap(), 1);
    let error = within(chunks.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ChunkSequenceError);
    assert_eq!(error.details()["expected_seq"], 2);
    assert_eq!(error.details()["got_seq"], 3);
    // The stream stays ended.
    assert!(within(chunks.next()).await.is_none());
    assert!(within(chunks.next()).await.is_none());
    within(host).await.unwrap();
}

#[tokio::test]
async fn streams_of_one_agent_run_concurrently() {
    let test = TestMesh::start().await;
    let go = Arc::new(Notify::new());
    let waiting = go.clone();
    let spec = AgentSpec::new("pausing", "Waits in the middle.");
    let pausing = spec.handler(move |wait: bool| {
        let go = waiting.clone();
        stream::iter([1, 2]).then(move |n| {
            let go = go.clone();
            async move {
                if wait && n == 2 {
                    go.notified().await;
                }
                n
            }
        })
    });
    test.mesh.register(pausing).await.unwrap();
    let mut slow = test.mesh.stream::<u32>("pausing", true).await.unwrap();
    assert_eq!(within(slow.next()).await.unwrap().unwrap(), 1);
    for _ in 0..20 {
        let quick = test.mesh.stream::<u32>("pausing", false).await.unwrap();
        assert_eq!(within(quick.try_collect::<Vec<_>>()).await.unwrap(), [1, 2]);
    }
    go.notify_one();
    assert_eq!(within(slow.try_collect::<Vec<_>>()).await.unwrap(), [2]);
}

#[tokio::test]
async fn dropped_next_loses_no_chunk() {
    let test = TestMesh::start().await;
    test.mesh.register(counter()).await.unwrap();
    let mut chunks = test
        .mesh
        .stream::<u64>("counter", 500)
        .window(8)
        .await
        .unwrap();
    let mut all = Vec::new();
    within(async {
        loop {
            tokio::select! {
                biased;
                () = tokio::task::yield_now() => {}
                chunk = chunks.next() => match chunk {
                    Some(chunk) => all.push(chunk.unwrap()),
                    None => break,
                }
            }
        }
    })
    .await;
    assert_eq!(all, (0..500).collect::<Vec<_>>());
}

/// A plain NATS service answers on the reply subject of the request.
#[tokio::test]
async fn single_reply_to_a_stream_request_is_a_mismatch() {
    let test = TestMesh::start().await;
    let raw = test.raw().await;
    let mut requests = crate::support::subscribed(&raw, "mesh.agent.service").await;
    let mut chunks = test.mesh.stream::<u32>("service", ()).await.unwrap();
    let request = within(requests.next()).await.unwrap();
    raw.publish(request.reply.unwrap(), "1".into())
        .await
        .unwrap();
    let error = within(chunks.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvocationMismatch);
    assert!(error.message().contains("call()"), "{error}");
}

/// Buffered chunks do not delay the timeout of a stream.
#[tokio::test]
async fn stream_beyond_its_timeout_ends_between_buffered_chunks() {
    let test = TestMesh::start().await;
    test.mesh.register(counter()).await.unwrap();
    let stream = test.mesh.stream::<u32>("counter", 1_000_000);
    let mut chunks = stream
        .window(u32::MAX)
        .timeout(Duration::from_millis(200))
        .await
        .unwrap();
    let error = within(async {
        loop {
            match chunks.next().await.unwrap() {
                // Slower than the producer.
                Ok(_) => tokio::time::sleep(Duration::from_micros(100)).await,
                Err(error) => return error,
            }
        }
    })
    .await;
    assert_eq!(error.code(), &ErrorCode::Timeout, "{error}");
    assert!(within(chunks.next()).await.is_none());
}

/// The connection drops messages beyond its buffer of 65,536, so the window has to be smaller.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn window_beyond_the_buffer_of_the_connection_loses_no_chunk() {
    const CHUNKS: u32 = 100_000;
    let test = TestMesh::start().await;
    let made = Arc::new(AtomicU32::new(0));
    let counted = made.clone();
    let spec = AgentSpec::new("counted", "Counts the chunks that it makes.");
    let counted = spec.handler(move |to: u32| {
        let made = counted.clone();
        stream::iter(0..to).inspect(move |_| {
            made.fetch_add(1, Ordering::SeqCst);
        })
    });
    test.mesh.register(counted).await.unwrap();
    let consumer = test.peer().await;
    let stream = consumer.stream::<u32>("counted", CHUNKS).window(u32::MAX);
    let mut chunks = within(stream).await.unwrap();
    eventually(|| async { (made.load(Ordering::SeqCst) > 30_000).then_some(()) }).await;
    stands_still(&made).await;
    for expected in 0..CHUNKS {
        assert_eq!(within(chunks.next()).await.unwrap().unwrap(), expected);
    }
    assert!(within(chunks.next()).await.is_none());
}

/// The server reports the missing responder before the consumer polls, and the catalog has to be read for
/// the error.
#[tokio::test]
async fn unserved_stream_polled_late_is_not_found() {
    let test = TestMesh::start().await;
    let raw = test.raw().await;
    let jetstream = async_nats::jetstream::new(raw);
    // A host would repair the catalog.
    test.mesh.create_buckets().await.unwrap();
    let catalog = jetstream.get_key_value("mesh-catalog").await.unwrap();
    catalog.put("catalog", "not JSON".into()).await.unwrap();

    // The catalog cache of this connection is empty.
    let caller = test.peer().await;
    let mut chunks = caller.stream::<u64>("nosuch", ()).await.unwrap();
    // The server has reported the missing responder before this reply.
    caller.catalog().fresh().await.unwrap_err();
    let error = within(chunks.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::NotFound, "{error}");
    assert!(chunks.next().await.is_none());
}

#[tokio::test]
async fn stream_of_a_host_that_ignores_credit_ends_beyond_the_window() {
    const WINDOW: u32 = 4;
    let test = TestMesh::start().await;
    let host = test.raw().await;
    let mut requests = subscribed(&host, "mesh.agent.flood").await;
    let stream = test.mesh.stream::<u32>("flood", ()).window(WINDOW);
    let mut chunks = within(stream).await.unwrap();
    let request = within(requests.next()).await.unwrap();
    let id = request
        .headers
        .unwrap()
        .get("X-Mesh-Request-Id")
        .unwrap()
        .to_string();
    let send = async |seq: u32| {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("X-Mesh-Stream-Seq", seq.to_string());
        let (subject, reply) = (format!("mesh.stream.{id}"), "_INBOX.credit");
        let body = seq.to_string().into();
        host.publish_with_reply_and_headers(subject, reply, headers, body)
            .await
            .unwrap();
    };
    send(0).await;
    assert_eq!(within(chunks.next()).await.unwrap().unwrap(), 0);
    for seq in 1..1000 {
        send(seq).await;
    }
    synchronize(&host).await;
    // A slow consumer: the chunks have arrived before.
    let unserved = test.mesh.call::<()>("unserved", ()).await;
    assert!(unserved.is_err());
    for expected in 1..1000 {
        match within(chunks.next()).await.unwrap() {
            Ok(chunk) => assert_eq!(chunk, expected),
            Err(error) => {
                assert_eq!(error.code(), &ErrorCode::ChunkSequenceError, "{error}");
                assert!(expected <= WINDOW + 2, "{expected} chunks: {error}");
                return;
            }
        }
    }
    panic!("the stream did not end");
}
