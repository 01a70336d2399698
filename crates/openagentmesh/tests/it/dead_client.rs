//! Messages on which the NATS client dies or drops its connection: everything goes on with the next one.

use std::sync::Arc;
use std::time::Duration;

use crate::support::poison::{self, BARE_CR, POISONS, Poison};
use crate::support::{Proxy, TestMesh, echo, eventually, subscribed, within};
use async_nats::Message;
use futures::{StreamExt, stream};
use openagentmesh::{
    AgentMesh, AgentSpec, ConnectionState, Error, ErrorCode, Events, KvChange, Result,
};
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinHandle;

/// The timeout of a request that is tried again.
const SHORT: Duration = Duration::from_secs(1);

/// A host, a caller that follows its events, and a process that holds requests of both.
struct World {
    test: TestMesh,
    caller: AgentMesh,
    events: Events<u64>,
    source: broadcast::Sender<u64>,
    sent: u64,
    /// Answers the requests that are held.
    release: Arc<Notify>,
}

impl World {
    async fn start() -> Self {
        let test = TestMesh::start().await;
        let (source, release) = (broadcast::Sender::new(1024), Arc::new(Notify::new()));
        let count = AgentSpec::new("count", "Counts.").handler(|to: u32| stream::iter(0..to));
        let endless = AgentSpec::new("endless", "Counts slowly.").handler(|()| {
            stream::unfold(0_u32, |n| async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((n, n + 1))
            })
        });
        let numbers = source.clone();
        let ticker =
            AgentSpec::new("ticker", "Publishes the numbers of the test.").handler(move || {
                stream::unfold(numbers.subscribe(), |mut numbers| async move {
                    Some((numbers.recv().await.ok()?, numbers))
                })
            });
        let agents = [echo(), count, endless, ticker];
        test.mesh.register(agents).await.unwrap();
        let released = Arc::clone(&release);
        let hold = AgentSpec::new("hold", "Answers when the test says so.").handler(move || {
            let released = Arc::clone(&released);
            async move {
                released.notified().await;
                1_u32
            }
        });
        let holder = test.peer().await;
        holder.register(hold).await.unwrap();
        // Keeps the process alive for as long as the server.
        std::mem::forget(holder);
        let caller = test.peer().await;
        let events = caller.subscribe::<u64>("ticker").await.unwrap();
        let mut world = Self {
            test,
            caller,
            events,
            source,
            sent: 0,
            release,
        };
        world.works().await;
        world
    }

    /// A request of `mesh` that is held.
    async fn held(&self, mesh: &AgentMesh) -> JoinHandle<Result<u32>> {
        let raw = self.test.raw().await;
        let mut requests = subscribed(&raw, "mesh.agent.hold").await;
        let held = tokio::spawn(mesh.call::<u32>("hold", ()));
        within(requests.next()).await.unwrap();
        held
    }

    async fn poison(&self, subject: &str, poison: Poison) {
        poison::publish(self.test.server.url(), subject, poison.headers, b"").await;
    }

    /// Waits until every process serves, calls, streams and receives events.
    async fn works(&mut self) {
        for mesh in [&self.caller, &self.test.mesh] {
            eventually(|| async {
                let call = mesh.call::<String>("echo", "x").timeout(SHORT);
                call.await.ok()
            })
            .await;
            eventually(|| async {
                let chunks = mesh.stream::<u32>("count", 3).timeout(SHORT).await.ok()?;
                let chunks: Vec<_> = chunks.collect().await;
                (chunks.len() == 3 && chunks.iter().all(Result::is_ok)).then_some(())
            })
            .await;
            eventually(|| async { mesh.kv().put("key", "value").await.ok() }).await;
        }
        within(async {
            loop {
                self.sent += 1;
                self.source.send(self.sent).ok();
                let event = tokio::time::timeout(SHORT, self.events.next());
                if let Ok(event) = event.await
                    && event.unwrap().is_ok_and(|event| event.data == self.sent)
                {
                    return;
                }
            }
        })
        .await;
    }

    /// Poisons `victim` by a message to `subject`. Its requests in flight end at once when its client dies, and go on
    /// when the client connects again.
    async fn survives(&mut self, victim: &AgentMesh, subject: &str, poison: Poison) {
        let held = self.held(victim).await;
        self.poison(subject, poison).await;
        if poison == BARE_CR {
            let error = within(held).await.unwrap().unwrap_err();
            assert_lost(&error, poison);
            self.works().await;
            self.release.notify_waiters();
        } else {
            self.works().await;
            let answered = eventually(|| {
                self.release.notify_waiters();
                std::future::ready(held.is_finished().then_some(()))
            });
            answered.await;
            assert_eq!(held.await.unwrap().unwrap(), 1, "{}", poison.name);
        }
        assert_eq!(victim.status(), ConnectionState::Connected);
    }
}

fn assert_lost(error: &Error, poison: Poison) {
    let code = error.code();
    assert_eq!(
        code,
        &ErrorCode::ConnectionFailed,
        "{}: {error}",
        poison.name
    );
    let text = error.message();
    assert!(text.contains("connection to the mesh was lost"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn poisoned_request_subject_costs_its_host_one_reconnect() {
    let mut world = World::start().await;
    let host = world.test.mesh.clone();
    for poison in POISONS {
        world.survives(&host, "mesh.agent.echo", poison).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn poisoned_event_costs_its_subscriber_one_reconnect() {
    let mut world = World::start().await;
    let caller = world.caller.clone();
    for poison in POISONS {
        let subject = "mesh.agent.ticker.events";
        world.survives(&caller, subject, poison).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn poisoned_reply_costs_its_caller_one_reconnect() {
    let mut world = World::start().await;
    let caller = world.caller.clone();
    for poison in POISONS {
        let raw = world.test.raw().await;
        let mut requests = subscribed(&raw, "mesh.agent.hold").await;
        let call = tokio::spawn(caller.call::<u32>("hold", ()));
        let inbox = within(requests.next()).await.unwrap().reply.unwrap();
        drop((requests, raw));
        world.survives(&caller, &inbox, poison).await;
        call.abort();
    }
}

/// The subject of a stream of `caller`, and the subject of signals to its host.
async fn open_stream(world: &World) -> (openagentmesh::Chunks<u32>, Message) {
    let raw = world.test.raw().await;
    let mut messages = subscribed(&raw, "mesh.stream.>").await;
    let mut chunks = world.caller.stream::<u32>("endless", ()).await.unwrap();
    assert_eq!(within(chunks.next()).await.unwrap().unwrap(), 0);
    (chunks, within(messages.next()).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn poisoned_chunk_ends_its_stream_with_an_error() {
    let mut world = World::start().await;
    let caller = world.caller.clone();
    for poison in POISONS {
        let (mut chunks, chunk) = open_stream(&world).await;
        world.survives(&caller, &chunk.subject, poison).await;
        let error = within(async {
            loop {
                if let Err(error) = chunks.next().await.unwrap() {
                    return error;
                }
            }
        });
        // After a mere reconnect the stream goes on, with a gap unless it was idle at that moment.
        match tokio::time::timeout(SHORT, error).await {
            Ok(error) if poison == BARE_CR => assert_lost(&error, poison),
            Ok(error) => assert_eq!(error.code(), &ErrorCode::ChunkSequenceError, "{error}"),
            Err(_) => assert_ne!(poison, POISONS[0]),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn poisoned_signal_costs_its_host_one_reconnect() {
    let mut world = World::start().await;
    let host = world.test.mesh.clone();
    for poison in POISONS {
        let (chunks, chunk) = open_stream(&world).await;
        let signals = chunk.reply.unwrap();
        world.survives(&host, &signals, poison).await;
        drop(chunks);
    }
}

/// The handler runs while its host has no client, and replies by the next one.
#[tokio::test(flavor = "multi_thread")]
async fn handler_of_a_host_whose_client_died_replies() {
    let mut world = World::start().await;
    let holder = world.test.peer().await;
    let (started, mut has_started) = tokio::sync::mpsc::channel(1);
    let release = Arc::new(Notify::new());
    let released = Arc::clone(&release);
    let slow = AgentSpec::new("slow", "Answers when the test says so.").handler(move || {
        let (started, released) = (started.clone(), Arc::clone(&released));
        async move {
            started.send(()).await.unwrap();
            released.notified().await;
            7_u32
        }
    });
    holder.register(slow).await.unwrap();
    let call = tokio::spawn(world.caller.call::<u32>("slow", ()));
    within(has_started.recv()).await.unwrap();
    let own = world.held(&holder).await;
    world.poison("mesh.agent.slow", POISONS[0]).await;
    assert_lost(&within(own).await.unwrap().unwrap_err(), POISONS[0]);
    release.notify_one();
    assert_eq!(within(call).await.unwrap().unwrap(), 7);
    world.works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_of_a_dead_client_go_on() {
    let mut world = World::start().await;
    let caller = world.caller.clone();
    let mut values = caller.kv().watch("watched").updates_only().await.unwrap();
    let mut catalog = caller.catalog().watch();
    for (number, poison) in POISONS.into_iter().enumerate() {
        let subject = "mesh.agent.ticker.events";
        world.survives(&caller, subject, poison).await;
        let value = number.to_string();
        let host = &world.test.mesh;
        host.kv().put("watched", value.clone()).await.unwrap();
        let change = within(values.next()).await.unwrap().unwrap();
        assert!(matches!(change, KvChange::Put(entry) if entry.value == value.as_bytes()));
        let name = format!("added{number}");
        let added = AgentSpec::new(&*name, "Is added.").handler(|()| async { 1_u32 });
        host.register(added).await.unwrap();
        while !format!("{:?}", within(catalog.next()).await.unwrap()).contains(&name) {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_wait_for_the_next_client_until_their_deadline() {
    let world = World::start().await;
    let proxy = Proxy::start(&world.test).await;
    let mesh = AgentMesh::connect(&proxy.url).await.unwrap();
    let mut news = mesh.subscribe_subject::<u32>("news").await.unwrap();
    let held = world.held(&mesh).await;
    assert_eq!(mesh.kv().get("missing").await.unwrap(), None);
    let mut states = mesh.status_changes();
    assert_eq!(states.next().await, Some(ConnectionState::Connected));
    proxy.refuse();
    world.poison("news", POISONS[0]).await;
    assert_lost(&within(held).await.unwrap().unwrap_err(), POISONS[0]);
    assert_eq!(within(states.next()).await, Some(ConnectionState::Lost));
    assert_eq!(mesh.status(), ConnectionState::Lost);

    let late = mesh.call::<String>("echo", "x").timeout(SHORT);
    let error = within(late).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ConnectionFailed, "{error}");
    assert!(error.message().contains("has been lost for"), "{error}");
    let chunks = mesh.stream::<u32>("count", 3).timeout(SHORT).await;
    let error = chunks.map(drop).unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ConnectionFailed, "{error}");

    let (kv, workspace) = (mesh.kv().clone(), mesh.workspace().clone());
    let call = tokio::spawn(mesh.call::<String>("echo", "x"));
    let many = (0..20).map(|n| mesh.call::<String>("echo", n.to_string()));
    let many = tokio::spawn(futures::future::join_all(many));
    let put = tokio::spawn(async move { kv.put("late", "value").await });
    let file = tokio::spawn(async move { workspace.put("file", vec![7; 300_000]).await });
    proxy.open();
    assert_eq!(
        within(states.next()).await,
        Some(ConnectionState::Connected)
    );
    assert_eq!(within(call).await.unwrap().unwrap(), "Echo: x");
    for reply in within(many).await.unwrap() {
        assert!(reply.unwrap().starts_with("Echo"));
    }
    within(put).await.unwrap().unwrap();
    within(file).await.unwrap().unwrap();
    world.test.mesh.publish("news", 5).await.unwrap();
    // Events may be missing before the first one after the loss.
    let gap = within(news.next()).await.unwrap().unwrap_err();
    assert_eq!(gap.details()["reconnected"], true, "{gap}");
    assert_eq!(within(news.next()).await.unwrap().unwrap().data, 5);
    within(mesh.shutdown()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_closed_without_a_client_stays_closed() {
    let world = World::start().await;
    let proxy = Proxy::start(&world.test).await;
    let mesh = AgentMesh::connect(&proxy.url).await.unwrap();
    let mut news = mesh.subscribe_subject::<u32>("news").await.unwrap();
    mesh.register(AgentSpec::new("own", "Is served.").handler(|()| async { 1_u32 }))
        .await
        .unwrap();
    let held = world.held(&mesh).await;
    proxy.refuse();
    world.poison("news", POISONS[0]).await;
    assert_lost(&within(held).await.unwrap().unwrap_err(), POISONS[0]);
    let waiting = tokio::spawn(mesh.call::<String>("echo", "x"));
    // Fails to leave the catalog, if it tries.
    drop(within(mesh.shutdown()).await);
    assert_eq!(mesh.status(), ConnectionState::Closed);
    assert!(within(news.next()).await.is_none());
    let error = within(waiting).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ConnectionFailed, "{error}");
    proxy.open();
    let error = within(mesh.call::<String>("echo", "x")).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ConnectionFailed, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn client_of_the_program_that_dies_closes_its_connection() {
    let test = TestMesh::start().await;
    test.mesh.register(echo()).await.unwrap();
    let client = test.raw().await;
    let mesh = AgentMesh::builder().nats_client(client).connect().await;
    let mesh = mesh.unwrap();
    let mut events = mesh.subscribe_subject::<u32>("news").raw().await.unwrap();
    poison::publish(test.server.url(), "news", BARE_CR.headers, b"").await;
    assert!(within(events.next()).await.is_none());
    let mut states = mesh.status_changes();
    while within(states.next()).await.is_some() {}
    assert_eq!(mesh.status(), ConnectionState::Closed);
    let error = within(mesh.call::<String>("echo", "x")).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ConnectionFailed, "{error}");
    assert!(error.message().contains("closed"), "{error}");
    let error = within(mesh.kv().get("key")).await.unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ConnectionFailed, "{error}");
}

/// The time for which poison is sent.
const ATTACK: Duration = Duration::from_secs(10);
/// The interval of the poison.
const ATTACK_INTERVAL: Duration = Duration::from_millis(500);
/// The number of subjects that are poisoned.
const TARGETS: usize = 2;

/// Each message costs at most the requests in flight: the host serves on, the victims call on, the others lose nothing
/// of their own.
#[tokio::test(flavor = "multi_thread")]
async fn sustained_poison_costs_only_requests_in_flight() {
    let mut world = World::start().await;
    let host = world.test.mesh.clone();
    let caller = world.caller.clone();
    let holder = world.test.peer().await;
    let bystander = AgentSpec::new("bystander", "Echoes.").handler(|n: u32| async move { n });
    holder.register(bystander).await.unwrap();
    let other = world.test.peer().await;
    let attack = async {
        let started = tokio::time::Instant::now();
        let mut interval = tokio::time::interval(ATTACK_INTERVAL);
        let mut sent = 0_usize;
        while started.elapsed() < ATTACK {
            interval.tick().await;
            for subject in ["mesh.agent.echo", "mesh.agent.ticker.events"] {
                world
                    .poison(subject, POISONS[sent / TARGETS % POISONS.len()])
                    .await;
                sent += 1;
            }
        }
        sent
    };
    let (stop, stopped) = tokio::sync::watch::channel(false);
    // One request at a time of each kind, as fast as they are answered.
    let loops = [
        ("victim calls the victim", caller.clone(), "echo"),
        ("other calls the victim", other.clone(), "echo"),
        ("victim calls a bystander", caller.clone(), "bystander"),
        ("other calls a bystander", other.clone(), "bystander"),
        ("host reads a value", host.clone(), ""),
        ("victim reads a value", caller.clone(), ""),
    ]
    .map(|(name, mesh, agent)| {
        let stopped = stopped.clone();
        tokio::spawn(async move {
            let (mut done, mut failed) = (0_usize, Vec::new());
            while !*stopped.borrow() {
                let result = match agent {
                    "" => mesh.kv().get("key").await.map(drop),
                    "echo" => mesh
                        .call::<String>("echo", "x")
                        .timeout(SHORT)
                        .await
                        .map(drop),
                    // Nobody's client dies: no request may be lost.
                    agent => mesh.call::<u32>(agent, 1).await.map(drop),
                };
                match result {
                    Ok(()) => done += 1,
                    Err(error) => failed.push(error),
                }
            }
            (name, done, failed)
        })
    });
    let sent = attack.await;
    stop.send_replace(true);
    for running in loops {
        let (name, done, failed) = within(running).await.unwrap();
        println!(
            "{name}: {done} done, {} failed of {sent} poisons",
            failed.len()
        );
        assert!(done > 50, "{name}: {done} {failed:?}");
        // A message to a victim may be lost with its connection.
        let may_fail = match name {
            "other calls a bystander" | "host reads a value" | "victim reads a value" => 0,
            _ => sent,
        };
        assert!(failed.len() <= may_fail, "{name}: {failed:?}");
        for error in failed {
            let is_typed = matches!(
                error.code(),
                ErrorCode::ConnectionFailed | ErrorCode::Timeout | ErrorCode::NotAvailable
            );
            assert!(is_typed, "{name}: {error}");
        }
    }
    world.works().await;
}
