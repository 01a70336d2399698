//! Agents that run without a request: publishers and watchers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::support::{Alive, TestMesh, eventually, stands_still, within};
use futures::{StreamExt, stream};
use openagentmesh::{AgentMesh, AgentSpec, Context, Error};
use serde_json::Value;

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
async fn publisher_that_panics_when_it_is_dropped_sends_its_end_marker() {
    let test = TestMesh::start().await;
    let host = test.peer().await;
    let publisher = AgentSpec::new("publisher", "Publishes one event.").handler(|| {
        let value = crate::support::PanicsOnDrop;
        stream::iter([1_u32])
            .chain(stream::pending())
            .map(move |n| {
                let _ = &value;
                n
            })
    });
    let raw = test.raw().await;
    let mut events = crate::support::subscribed(&raw, "mesh.agent.publisher.events").await;
    host.register(publisher).await.unwrap();
    assert_eq!(within(events.next()).await.unwrap().payload, "1");
    drop(host);
    let end = within(events.next()).await.unwrap().headers.unwrap();
    assert_eq!(end.get("X-Mesh-Stream-End").unwrap().as_str(), "true");
    assert_eq!(end.get("X-Mesh-Stream-Seq").unwrap().as_str(), "1");
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
