//! Events: published by agents and by `publish`, received by agent, by channel and by subject.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::support::{Alive, TestMesh, eventually, stands_still, within};
use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt, stream};
use openagentmesh::{Agent, AgentMesh, AgentSpec, Context, Error, ErrorCode};
use serde_json::{Value, json};
use tokio::sync::broadcast;

/// A publisher of the numbers that the test sends to `source`.
fn relay(name: &str, source: &broadcast::Sender<u32>) -> Agent {
    let source = source.clone();
    AgentSpec::new(name, "Publishes the numbers of the test.").handler(move || received(&source))
}

fn received(source: &broadcast::Sender<u32>) -> impl Stream<Item = u32> + use<> {
    stream::unfold(source.subscribe(), |mut source| async move {
        Some((source.recv().await.ok()?, source))
    })
}

/// Waits until so many publishers receive from `source`.
async fn subscribed_to(source: &broadcast::Sender<u32>, publishers: usize) {
    eventually(|| async { (source.receiver_count() == publishers).then_some(()) }).await;
}

#[tokio::test]
async fn events_arrive_in_order_and_end_with_their_publisher() {
    let test = TestMesh::start().await;
    let source = broadcast::Sender::new(64);
    test.mesh.register(relay("ticker", &source)).await.unwrap();
    subscribed_to(&source, 1).await;
    let subscriber = test.peer().await;
    let mut events = subscriber.subscribe::<u32>("ticker").await.unwrap();
    for n in 0..10 {
        source.send(n).unwrap();
    }
    for n in 0..10 {
        let event = within(events.next()).await.unwrap().unwrap();
        assert_eq!(event.data, n);
        assert_eq!(event.header("x-mesh-stream-seq").unwrap(), n.to_string());
        assert!(
            event
                .headers()
                .iter()
                .any(|(name, _)| name == "X-Mesh-Instance-Id")
        );
    }
    let raw = test.raw().await;
    let mut end = crate::support::subscribed(&raw, "mesh.agent.ticker.events").await;
    test.mesh.deregister(["ticker"]).await.unwrap();
    assert!(within(events.next()).await.is_none());
    let end = within(end.next()).await.unwrap();
    let headers = end.headers.unwrap();
    assert_eq!(headers.get("X-Mesh-Stream-End").unwrap().as_str(), "true");
    assert_eq!(headers.get("X-Mesh-Stream-Seq").unwrap().as_str(), "10");
    assert!(end.payload.is_empty());
}

#[tokio::test]
async fn events_of_two_hosts_end_with_the_last_host() {
    let test = TestMesh::start().await;
    let source = broadcast::Sender::new(64);
    let other = test.peer().await;
    test.mesh.register(relay("ticker", &source)).await.unwrap();
    other.register(relay("ticker", &source)).await.unwrap();
    subscribed_to(&source, 2).await;
    let mut events = test.peer().await.subscribe::<u32>("ticker").await.unwrap();
    source.send(1).unwrap();
    for _ in 0..2 {
        assert_eq!(within(events.next()).await.unwrap().unwrap().data, 1);
    }
    other.shutdown().await.unwrap();
    source.send(2).unwrap();
    assert_eq!(within(events.next()).await.unwrap().unwrap().data, 2);
    test.mesh.shutdown().await.unwrap();
    assert!(within(events.next()).await.is_none());
}

#[tokio::test]
async fn channel_subscription_gets_the_events_of_all_its_publishers() {
    let test = TestMesh::start().await;
    let mut events = test.mesh.subscribe_channel::<u32>("market").await.unwrap();
    let source = broadcast::Sender::new(64);
    let echo = AgentSpec::new("market.echo", "Answers.").handler(|n: u32| async move { n });
    let names = ["market.prices", "market.deep.volumes", "other.prices"];
    let mut agents = names.map(|name| relay(name, &source)).to_vec();
    agents.push(echo);
    test.mesh.register(agents).await.unwrap();
    subscribed_to(&source, 3).await;
    assert_eq!(test.mesh.call::<u32>("market.echo", 5).await.unwrap(), 5);
    source.send(9).unwrap();
    let mut publishers = Vec::new();
    for _ in 0..2 {
        let event = within(events.next()).await.unwrap().unwrap();
        assert_eq!(event.data, 9);
        publishers.push(event.agent().unwrap().to_string());
    }
    publishers.sort();
    assert_eq!(publishers, ["market.deep.volumes", "market.prices"]);
    // A publisher that leaves does not end the subscription to the channel.
    test.mesh.deregister(["market.prices"]).await.unwrap();
    source.send(10).unwrap();
    let event = within(events.next()).await.unwrap().unwrap();
    assert_eq!(
        (event.data, event.subject()),
        (10, "mesh.agent.market.deep.volumes.events")
    );
}

#[tokio::test]
async fn published_json_text_and_bytes_are_received_by_content_type() {
    let test = TestMesh::start().await;
    let mesh = &test.mesh;
    let mut values = mesh.subscribe_subject::<Value>("orders.*").await.unwrap();
    let mut bytes = mesh
        .subscribe_subject::<Value>("orders.>")
        .raw()
        .await
        .unwrap();
    mesh.publish("orders.new", json!({"id": 7}))
        .header("Priority", "high")
        .await
        .unwrap();
    mesh.publish_text("orders.note", "grüß \"dich\"")
        .await
        .unwrap();
    mesh.publish_bytes("orders.image", vec![0xff, 0x00])
        .await
        .unwrap();
    let raw = test.raw().await;
    raw.publish("orders.raw", "[1, 2]".into()).await.unwrap();
    raw.flush().await.unwrap();

    let event = within(values.next()).await.unwrap().unwrap();
    assert_eq!(
        (event.subject(), &event.data),
        ("orders.new", &json!({"id": 7}))
    );
    assert_eq!(event.header("priority"), Some("high"));
    assert_eq!(
        event.header("X-Mesh-Content-Type"),
        Some("application/json")
    );
    let event = within(values.next()).await.unwrap().unwrap();
    assert_eq!(event.data, "grüß \"dich\"");
    let error = within(values.next()).await.unwrap().unwrap_err();
    assert!(error.message().contains("orders.image"), "{error}");
    assert_eq!(
        within(values.next()).await.unwrap().unwrap().data,
        json!([1, 2])
    );

    let expected: [&[u8]; 4] = [
        b"{\"id\":7}",
        "grüß \"dich\"".as_bytes(),
        &[0xff, 0x00],
        b"[1, 2]",
    ];
    for expected in expected {
        let event = within(bytes.next()).await.unwrap().unwrap();
        assert_eq!(event.data, Bytes::from_static(expected));
    }
}

#[tokio::test]
async fn subscription_to_all_subjects_receives_events() {
    let test = TestMesh::start().await;
    let listen = test.mesh.subscribe_subject::<Value>(">").raw();
    let mut everything = within(listen).await.unwrap();
    test.mesh.publish("orders.new", 7).await.unwrap();
    let taken = async {
        loop {
            let event = everything.next().await.unwrap().unwrap();
            if event.subject() == "orders.new" {
                return event.data;
            }
        }
    };
    assert_eq!(&within(taken).await[..], b"7");
}

#[tokio::test]
async fn invalid_subject_or_header_is_refused() {
    let test = TestMesh::start().await;
    let mesh = &test.mesh;
    for subject in [
        "",
        "a b",
        "a..b",
        ".a",
        "a.",
        "orders.*",
        "orders.>",
        "a\r\nPUB x 0",
    ] {
        let error = mesh.publish(subject, 1).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::InvalidInput, "{subject:?}");
    }
    for subject in ["", "a b", "a..b", "a.>.b"] {
        let error = mesh.subscribe_subject::<u32>(subject).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::InvalidInput, "{subject:?}");
    }
    for (name, value) in [
        ("a b", "x"),
        ("", "x"),
        ("X-Mesh-Status", "ok"),
        ("Fine", "a\r\nb"),
    ] {
        let error = mesh
            .publish("fine", 1)
            .header(name, value)
            .await
            .unwrap_err();
        assert_eq!(error.code(), &ErrorCode::InvalidInput, "{name:?}");
        let call = mesh.call::<u32>("fine", 1).header(name, value);
        assert_eq!(
            call.await.unwrap_err().code(),
            &ErrorCode::InvalidInput,
            "{name:?}"
        );
    }
    mesh.publish("fine", 1).await.unwrap();
}

#[tokio::test]
async fn failed_publisher_restarts_and_sends_a_dead_letter() {
    let test = TestMesh::start().await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let flaky = AgentSpec::new("flaky", "Fails twice.").handler(move || {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        // Events that are ready before a failure are published.
        stream::iter(0..)
            .map(move |event| match (run, event) {
                (_, 0) => Ok(run),
                (0, _) => Err(Error::new("broken", "failed in run 0")),
                _ => panic!("panicked in run {run}"),
            })
            .take(if run < 2 { 2 } else { 1 })
            .chain(stream::pending())
    });
    let mut letters = test
        .mesh
        .subscribe_subject::<Value>("mesh.errors.flaky")
        .await
        .unwrap();
    let raw = test.raw().await;
    let mut events = crate::support::subscribed(&raw, "mesh.agent.flaky.events").await;
    test.mesh.register(flaky).await.unwrap();
    for run in ["0", "1", "2"] {
        let event = within(events.next()).await.unwrap();
        assert_eq!(event.payload, run);
        let headers = event.headers.unwrap();
        assert_eq!(
            headers.get("X-Mesh-Stream-Seq").unwrap().as_str(),
            run,
            "the sequence continues across runs"
        );
        assert_eq!(headers.get("X-Mesh-Stream-End").unwrap().as_str(), "false");
    }
    for (code, message) in [
        ("broken", "failed in run 0"),
        ("handler_error", "panicked in run 1"),
    ] {
        let letter = within(letters.next()).await.unwrap().unwrap().data;
        assert_eq!(letter["code"], code);
        let text = letter["message"].as_str().unwrap();
        let prefix = text.strip_suffix(message).expect(text);
        assert_eq!(prefix.is_empty(), code == "broken", "{letter}");
        assert_eq!(prefix.contains("panicked"), code != "broken", "{letter}");
        assert_eq!(letter["agent"], "flaky");
    }
    assert_eq!(runs.load(Ordering::SeqCst), 3);
}

/// A message that a publisher sends by `publish` does not overtake its batched events.
#[tokio::test]
async fn message_of_a_publisher_keeps_its_order_among_events() {
    const EVENTS: u32 = 500;
    let test = TestMesh::start().await;
    let teller = AgentSpec::new("teller", "Publishes a message after each event.");
    let teller = teller.handler(|context: Context| {
        stream::unfold((0, context), |(event, context)| async move {
            if event > 0 {
                let published = context.mesh().publish("mesh.agent.teller.taken", event);
                published.await.unwrap();
            }
            (event < EVENTS).then_some((event, (event + 1, context)))
        })
    });
    let raw = test.raw().await;
    let mut all = crate::support::subscribed(&raw, "mesh.agent.teller.*").await;
    test.mesh.register(teller).await.unwrap();
    for event in 0..EVENTS {
        for (subject, body) in [("events", event), ("taken", event + 1)] {
            let message = within(all.next()).await.unwrap();
            assert_eq!(message.payload, body.to_string());
            assert!(message.subject.ends_with(subject), "{}", message.subject);
        }
    }
}

/// The stream of such a publisher is always ready, or only yields to other tasks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publisher_that_never_waits_stops_at_shutdown() {
    let test = TestMesh::start().await;
    for yields in [false, true] {
        let mesh = AgentMesh::builder()
            .url(test.server.url())
            .shutdown_grace(Duration::from_secs(600));
        let mesh = mesh.connect().await.unwrap();
        let busy = AgentSpec::new("busy", "Publishes without a pause.").handler(move || {
            stream::unfold(0, move |event: u32| async move {
                // Slow enough that the connection always has room.
                let begun = std::time::Instant::now();
                while begun.elapsed() < Duration::from_millis(200) {
                    std::hint::spin_loop();
                }
                if yields {
                    tokio::task::yield_now().await;
                }
                Some((event, event.wrapping_add(1)))
            })
        });
        let raw = test.raw().await;
        let mut events = crate::support::subscribed(&raw, "mesh.agent.busy.events").await;
        mesh.register(busy).await.unwrap();
        let mut next = 0;
        let mut follow = |event: async_nats::Message| {
            let headers = event.headers.unwrap();
            let seq = headers.get("X-Mesh-Stream-Seq").unwrap().as_str();
            assert_eq!(seq, next.to_string());
            next += 1;
            headers.get("X-Mesh-Stream-End").unwrap().as_str() == "true"
        };
        assert!(!follow(within(events.next()).await.unwrap()));
        let until_end = async { while !follow(events.next().await.unwrap()) {} };
        let (stopped, ()) = within(async { futures::join!(mesh.shutdown(), until_end) }).await;
        stopped.unwrap();
    }
}

#[tokio::test]
async fn failed_watcher_restarts_and_ends_with_its_registration() {
    let test = TestMesh::start().await;
    let alive = Alive::default();
    let runs = Arc::new(AtomicU32::new(0));
    let (guards, counted) = (alive.clone(), runs.clone());
    let tokens = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = tokens.clone();
    let watcher = AgentSpec::new("watcher", "Fails once.").watcher(move |ctx: Context| {
        let (guard, run) = (guards.guard(), counted.fetch_add(1, Ordering::SeqCst));
        seen.lock().unwrap().push(ctx.cancellation().clone());
        async move {
            if run == 0 {
                return Err("not yet".to_owned());
            }
            std::future::pending::<()>().await;
            drop(guard);
            Ok(())
        }
    });
    let mut letters = test
        .mesh
        .subscribe_subject::<Value>("mesh.errors.>")
        .await
        .unwrap();
    test.mesh.register(watcher).await.unwrap();
    assert_eq!(
        within(letters.next()).await.unwrap().unwrap().data["message"],
        "not yet"
    );
    eventually(|| async { (runs.load(Ordering::SeqCst) == 2).then_some(()) }).await;
    alive.are(1).await;
    let fired = |index: usize| tokens.lock().unwrap()[index].is_cancelled();
    assert!(fired(0) && !fired(1));
    within(test.mesh.deregister(["watcher"])).await.unwrap();
    alive.are(0).await;
    assert!(fired(1));
}

#[tokio::test]
async fn finished_watcher_is_not_restarted() {
    let test = TestMesh::start().await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let once = AgentSpec::new("once", "Runs once.").watcher(move || {
        let counted = counted.clone();
        async move {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    test.mesh.register(once).await.unwrap();
    eventually(|| async { (runs.load(Ordering::SeqCst) == 1).then_some(()) }).await;
    within(test.mesh.shutdown()).await.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn watchers_and_publishers_end_with_the_last_handle() {
    let test = TestMesh::start().await;
    let host = test.peer().await;
    let alive = Alive::default();
    let (first, second) = (alive.clone(), alive.clone());
    let watcher = AgentSpec::new("watcher", "Runs.").watcher(move |ctx: Context| {
        let guard = first.guard();
        async move {
            std::future::pending::<()>().await;
            drop((ctx, guard));
        }
    });
    let publisher = AgentSpec::new("publisher", "Publishes.").handler(move |ctx: Context| {
        let guard = second.guard();
        stream::repeat(1_u32).map(move |n| {
            let _ = (&ctx, &guard);
            n
        })
    });
    host.register([watcher, publisher]).await.unwrap();
    alive.are(2).await;
    drop(host);
    alive.are(0).await;
}

#[tokio::test]
async fn subscription_without_events_is_a_timeout() {
    let test = TestMesh::start().await;
    let subscription = test.mesh.subscribe_subject::<u32>("quiet");
    let mut events = subscription
        .timeout(Duration::from_millis(50))
        .await
        .unwrap();
    let error = within(events.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::Timeout);
    assert!(within(events.next()).await.is_none());
    assert!(within(events.next()).await.is_none());
}

/// A subscriber whose buffer overflows gets one error with the number of lost events, then further events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_subscriber_gets_the_number_of_lost_events() {
    const EVENTS: u32 = 40_000;
    let test = TestMesh::start().await;
    let burst = broadcast::Sender::new(4);
    let source = burst.clone();
    let publisher = AgentSpec::new("bursts", "Publishes bursts of numbers.")
        .handler(move || received(&source).flat_map(|count| stream::iter(0..count)));
    test.mesh.register(publisher).await.unwrap();
    subscribed_to(&burst, 1).await;
    let subscriber = test.peer().await;
    let mut events = subscriber.subscribe::<u32>("bursts").await.unwrap();
    let raw = test.raw().await;
    let mut all = crate::support::subscribed(&raw, "mesh.agent.bursts.events").await;
    // The subscriber is registered for a wake-up, but does not poll again yet.
    assert!(events.next().now_or_never().is_none());
    burst.send(EVENTS).unwrap();
    // All events are published once the plain client has received them.
    for _ in 0..EVENTS {
        within(all.next()).await.unwrap();
    }
    let (mut taken, mut lost) = (0, 0);
    while taken + lost < EVENTS {
        match within(events.next()).await.unwrap() {
            Ok(event) => {
                assert_eq!(event.data, taken + lost, "in order, around the gap");
                taken += 1;
            }
            Err(error) => {
                assert_eq!(error.code(), &ErrorCode::ChunkSequenceError);
                lost += u32::try_from(error.details()["lost"].as_u64().unwrap()).unwrap();
            }
        }
    }
    assert!(lost > 0 && taken >= 16 * 1024, "{taken} taken, {lost} lost");
    burst.send(1).unwrap();
    assert_eq!(
        within(events.next()).await.unwrap().unwrap().data,
        0,
        "the subscription ended after a loss"
    );
}

/// The end marker arrives although the buffer overflowed before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_subscriber_gets_the_end_after_lost_events() {
    const EVENTS: u32 = 40_000;
    let test = TestMesh::start().await;
    let burst = broadcast::Sender::new(4);
    let source = burst.clone();
    let publisher = AgentSpec::new("bursts", "Publishes bursts of numbers.");
    let publisher = publisher.handler(move || {
        let counts = received(&source).take(1);
        counts.flat_map(|count| stream::iter(0..count))
    });
    test.mesh.register(publisher).await.unwrap();
    subscribed_to(&burst, 1).await;
    let subscriber = test.peer().await;
    let mut events = subscriber.subscribe::<u32>("bursts").await.unwrap();
    let raw = test.raw().await;
    let mut all = crate::support::subscribed(&raw, "mesh.agent.bursts.events").await;
    burst.send(EVENTS).unwrap();
    // The last message is the end marker.
    for _ in 0..=EVENTS {
        within(all.next()).await.unwrap();
    }
    let (mut taken, mut lost, mut losses) = (0, 0, 0);
    while let Some(event) = within(events.next()).await {
        match event {
            Ok(_) => taken += 1,
            Err(error) => {
                lost += u32::try_from(error.details()["lost"].as_u64().unwrap()).unwrap();
                losses += 1;
            }
        }
    }
    assert_eq!(taken + lost, EVENTS);
    assert_eq!(losses, 1, "consecutive losses are one error");
}

/// Any peer may publish events with any headers.
#[tokio::test]
async fn event_with_invalid_headers_is_delivered() {
    let test = TestMesh::start().await;
    let source = broadcast::Sender::new(4);
    test.mesh.register(relay("quiet", &source)).await.unwrap();
    let mut events = test.mesh.subscribe::<u32>("quiet").await.unwrap();
    let raw = test.raw().await;
    for (name, value) in [
        ("X-Mesh-Stream-Seq", "18446744073709551615"),
        ("X-Mesh-Stream-Seq", "3"),
        ("X-Mesh-Stream-End", "maybe"),
        ("X-Mesh-Status", "perhaps"),
    ] {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("X-Mesh-Instance-Id", "cafecafecafecafe");
        headers.insert(name, value);
        let subject = "mesh.agent.quiet.events";
        raw.publish_with_headers(subject, headers, "1".into())
            .await
            .unwrap();
        let event = within(events.next()).await.unwrap();
        assert_eq!(event.unwrap().data, 1, "{name}: {value}");
    }
}

/// Without a server the publisher waits instead of filling memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publisher_without_a_server_stands_still() {
    let test = TestMesh::start().await;
    let made = Arc::new(AtomicU32::new(0));
    let counted = made.clone();
    let spec = AgentSpec::new("busy", "Publishes as fast as it can.");
    let busy = spec.handler(move || {
        let made = counted.clone();
        stream::repeat(1_u32).inspect(move |_| {
            made.fetch_add(1, Ordering::SeqCst);
        })
    });
    test.mesh.register(busy).await.unwrap();
    eventually(|| async { (made.load(Ordering::SeqCst) > 10_000).then_some(()) }).await;
    let TestMesh { mesh, server } = test;
    server.stop().await.unwrap();
    stands_still(&made).await;
    drop(mesh);
}
