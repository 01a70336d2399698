//! Messages whose headers a NATS client cannot read, on a mesh of both languages: every process serves and calls again.
//!
//! The client of the Rust SDK loses its connection on each of them, and is replaced or connects again. The client of the
//! Python SDK keeps its connection: it drops headers that it cannot parse and delivers the body. A peer in Python is
//! therefore held to the same as one in Rust. The bodies are valid: the catalog watch of the Python SDK ends for good at
//! a catalog that is not JSON, whatever its headers are.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use interop::{Peer, Sdk};
use openagentmesh::{AgentMesh, AgentSpec, KvChange};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::common::{TestMesh, python_lists, synchronize, take, within};
use crate::oam::{self, Oam};

interop::with_each_sdk!(mesh_goes_on_after_poisonous_messages);

/// The headers, each with its name.
const POISONS: [(&str, &[u8]); 3] = [
    ("a bare CR", b"NATS/1.0\r\nX: a\rb\r\n\r\n"),
    ("not UTF-8", b"NATS/1.0\r\nX: \xff\xfe\r\n\r\n"),
    (STATUS, b"NATS/1.0 WORD\r\n\r\n"),
];
/// The server stores a message without its status.
const STATUS: &str = "a word as status";
const CATALOG: &str = "$KV.mesh-catalog.catalog";
/// The timeout of a request that is tried again.
const SHORT: Duration = Duration::from_secs(1);

/// A host in each language, three callers in Rust and a caller in Python, and a running `oam`.
struct World {
    sdk: Sdk,
    test: TestMesh,
    python: Peer,
    callers: [AgentMesh; 3],
    oam: Oam,
    /// The numbers that the publisher in Rust publishes.
    source: watch::Sender<u64>,
    /// The last event that the first caller has received.
    event: watch::Receiver<u64>,
    /// The last value that the second caller has seen in its watch.
    value: watch::Receiver<String>,
    round: u64,
}

impl World {
    async fn start(sdk: Sdk) -> Self {
        let test = TestMesh::start().await;
        let source = watch::Sender::new(0);
        test.mesh.register(agents(&source)).await.unwrap();
        let mut python = test.python_host(sdk, &["echo", "nlp.pieces"]).await;
        python_lists(&mut python, &["rust.echo"]).await;
        let callers = [
            test.rust_peer().await,
            test.rust_peer().await,
            test.rust_peer().await,
        ];
        callers[0].kv().put("watched", "0").await.unwrap();
        let watched = json!({"key": "values", "of": "watched"});
        python.ask("open_values", watched).await.unwrap();
        let mut oam = Oam::start(test.server.url(), &["mesh", "catalog", "--watch"]).await;
        oam.line("+ rust.ticker  Publishes the numbers of the test.")
            .await;
        let event = last_event(&callers[0]).await;
        let value = last_value(&callers[1]).await;
        let mut world = Self {
            sdk,
            test,
            python,
            callers,
            oam,
            source,
            event,
            value,
            round: 0,
        };
        world.recovers("the start").await;
        world
    }

    /// Publishes a message past every check of a client, and waits until the server has processed it.
    async fn poison(&self, subject: &str, headers: &[u8], body: &[u8]) {
        let address = self.test.server.url().trim_start_matches("nats://");
        let stream = TcpStream::connect(address).await.unwrap();
        let (reader, mut writer) = stream.into_split();
        let (head, all) = (headers.len(), headers.len() + body.len());
        let begin = format!(
            "CONNECT {{\"headers\":true,\"verbose\":false}}\r\nHPUB {subject} {head} {all}\r\n"
        );
        let message = [begin.as_bytes(), headers, body, b"\r\nPING\r\n"].concat();
        writer.write_all(&message).await.unwrap();
        let mut lines = BufReader::new(reader).lines();
        while within(lines.next_line()).await.unwrap().unwrap() != "PONG" {}
    }

    /// Waits until every process serves, calls, receives events and sees changes. Prints the time that it took.
    async fn recovers(&mut self, after: &str) {
        let started = Instant::now();
        self.round += 1;
        let round = self.round.to_string();
        for mesh in self.callers.iter().chain([&self.test.mesh]) {
            for (agent, reply) in [("rust.echo", "x"), ("echo", "Echo: x")] {
                eventually(|| async {
                    let call = mesh.call::<String>(agent, "x").timeout(SHORT);
                    (call.await.ok()? == reply).then_some(())
                })
                .await;
            }
            eventually(|| async {
                let chunks = mesh.stream::<u32>("rust.count", 3).timeout(SHORT).await;
                let chunks: Vec<_> = chunks.ok()?.collect().await;
                (chunks.len() == 3 && chunks.iter().all(Result::is_ok)).then_some(())
            })
            .await;
        }
        let called = json!({"name": "rust.echo", "payload": round});
        assert_eq!(self.python.ask("call", called).await.unwrap(), *round);

        let (source, number) = (&self.source, self.round);
        let event = &self.event;
        eventually(|| async {
            // An event that is published while a process reconnects is lost.
            source.send_replace(number);
            (*event.borrow() == number).then_some(())
        })
        .await;
        let kv = self.callers[2].kv();
        let write = || kv.put("watched", round.clone());
        eventually(|| async { write().await.ok() }).await;
        let value = &mut self.value;
        within(value.wait_for(|value| *value == round))
            .await
            .unwrap();
        within(async {
            loop {
                let taken = take(&mut self.python, "values", Some(1)).await;
                assert!(taken.raised.is_none(), "{taken:?}");
                if taken.items == [json!(round)] {
                    return;
                }
            }
        })
        .await;
        let name = format!("rust.new{round}");
        let added = AgentSpec::new(&name, "Is new.").handler(|| async {});
        self.callers[0].register(added).await.unwrap();
        self.oam.line(&format!("+ {name}  Is new.")).await;
        python_lists(&mut self.python, &[&name]).await;
        self.callers[0].deregister([&name]).await.unwrap();
        self.oam.line(&format!("- {name}")).await;
        println!("{}, {after}: {:?}", self.sdk, started.elapsed());
    }

    /// A process in each language starts now and works. Prints the time that it took, with the start of Python.
    async fn newcomers_start(&self, after: &str) {
        let started = Instant::now();
        let rust = self.test.rust_peer().await;
        for (agent, reply) in [("rust.echo", "x"), ("echo", "Echo: x")] {
            eventually(|| async {
                rust.contract(agent).await.ok()?;
                let call = rust.call::<String>(agent, "x").timeout(SHORT);
                (call.await.ok()? == reply).then_some(())
            })
            .await;
        }
        let mut python = self.test.python_peer(self.sdk).await;
        python_lists(&mut python, &["rust.echo", "echo"]).await;
        for (name, reply) in [("rust.echo", "x"), ("echo", "Echo: x")] {
            let contract = python.ask("contract", json!({"name": name})).await;
            assert_eq!(contract.unwrap()["name"], name);
            let called = json!({"name": name, "payload": "x"});
            assert_eq!(python.ask("call", called).await.unwrap(), reply);
        }
        python.end().await.unwrap();
        let took = started.elapsed();
        println!("{}, newcomers, {after}: {took:?}", self.sdk);
    }

    /// Poisons the subject of a stream that the second caller reads, and the reply subject of a call of the third one.
    async fn poison_replies(&mut self, name: &str, headers: &[u8]) {
        let raw = self.test.nats().await;
        let mut chunks = raw.subscribe("mesh.stream.>").await.unwrap();
        let mut requests = raw.subscribe("mesh.agent.rust.hold").await.unwrap();
        synchronize(&raw).await;
        let mut stream = self.callers[1]
            .stream::<u32>("rust.endless", ())
            .await
            .unwrap();
        within(stream.next()).await.unwrap().unwrap();
        let held = tokio::spawn(self.callers[2].call::<u32>("rust.hold", ()));
        let stream_subject = within(chunks.next()).await.unwrap().subject;
        let inbox = within(requests.next()).await.unwrap().reply.unwrap();
        drop((chunks, requests, raw));
        for (subject, what) in [(stream_subject, "a stream"), (inbox, "an inbox")] {
            self.poison(&subject, headers, b"null").await;
            self.recovers(&format!("{name} to {what}")).await;
        }
        held.abort();
    }
}

fn agents(source: &watch::Sender<u64>) -> [openagentmesh::Agent; 5] {
    let echo = AgentSpec::new("rust.echo", "Echoes.").handler(|text: String| async move { text });
    let count = AgentSpec::new("rust.count", "Counts.").handler(|to: u32| stream::iter(0..to));
    let endless = AgentSpec::new("rust.endless", "Counts slowly.").handler(|()| {
        stream::unfold(0_u32, |n| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((n, n + 1))
        })
    });
    let hold = AgentSpec::new("rust.hold", "Never answers.").handler(|| async {
        std::future::pending::<()>().await;
        1_u32
    });
    let source = source.clone();
    let ticker =
        AgentSpec::new("rust.ticker", "Publishes the numbers of the test.").handler(move || {
            stream::unfold(source.subscribe(), |mut numbers| async move {
                numbers.changed().await.ok()?;
                let number = *numbers.borrow_and_update();
                Some((number, numbers))
            })
        });
    [echo, count, endless, hold, ticker]
}

async fn last_event(mesh: &AgentMesh) -> watch::Receiver<u64> {
    let mut events = mesh.subscribe::<u64>("rust.ticker").await.unwrap();
    let (last, received) = watch::channel(0);
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if let Ok(event) = event {
                last.send_replace(event.data);
            }
        }
    });
    received
}

async fn last_value(mesh: &AgentMesh) -> watch::Receiver<String> {
    let mut changes = mesh.kv().watch("watched").await.unwrap();
    let (last, received) = watch::channel(String::new());
    tokio::spawn(async move {
        while let Some(change) = changes.next().await {
            if let Ok(KvChange::Put(entry)) = change {
                last.send_replace(String::from_utf8_lossy(&entry.value).into_owned());
            }
        }
    });
    received
}

/// Repeats `attempt` until it returns a value.
async fn eventually<T>(mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    within(async {
        loop {
            if let Some(value) = attempt().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

async fn mesh_goes_on_after_poisonous_messages(sdk: Sdk) {
    let mut world = World::start(sdk).await;
    let url = world.test.server.url().to_owned();
    let catalog = serde_json::to_vec(&world.test.catalog_text().await).unwrap();
    let jetstream = async_nats::jetstream::new(world.test.nats().await);
    let registry = jetstream.get_key_value("mesh-registry").await.unwrap();
    let contract = registry.get("rust.echo").await.unwrap().unwrap();
    drop((jetstream, registry));
    for (name, headers) in POISONS {
        for subject in [
            "mesh.agent.rust.echo",
            "mesh.agent.echo",
            "mesh.agent.rust.ticker.events",
        ] {
            world.poison(subject, headers, b"1").await;
            world.recovers(&format!("{name} to {subject}")).await;
        }
        world.poison_replies(name, headers).await;
        for (subject, body) in [
            (CATALOG, &catalog[..]),
            ("$KV.mesh-registry.rust.echo", &contract),
            ("$KV.mesh-context.watched", b"poison"),
        ] {
            world.poison(subject, headers, body).await;
            let after = format!("{name} at {subject}");
            world.newcomers_start(&after).await;
            if subject == CATALOG {
                let listed = oam::run(&url, &["mesh", "catalog"]).await;
                assert!(listed.contains("rust.ticker"), "{listed}");
                let repaired = oam::run(&url, &["mesh", "repair"]).await;
                let is_repaired = repaired.starts_with("repaired the catalog");
                assert_eq!(is_repaired, name != STATUS, "{name}: {repaired}");
                let repaired = oam::run(&url, &["mesh", "repair"]).await;
                assert!(repaired.starts_with("the catalog is valid"), "{repaired}");
            }
            world.recovers(&after).await;
        }
    }
    world.python.end().await.unwrap();
}
