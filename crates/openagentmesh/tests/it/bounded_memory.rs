//! Readers that take nothing, and peers that ignore limits: memory is bounded by bytes.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::peer::Peer;
use crate::support::role::is_role;
use crate::support::{TestMesh, eventually, subscribed, synchronize, within};
use futures::future::join_all;
use futures::{StreamExt, stream};
use openagentmesh::{AgentMesh, AgentSpec, ErrorCode};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

const MIB: usize = 1024 * 1024;

#[tokio::test]
#[ignore = "role process of another test"]
async fn host_of_large_chunks() {
    if !is_role() {
        return;
    }
    let mesh = AgentMesh::from_env().await.unwrap();
    let maker = AgentSpec::new("maker", "Makes large chunks.").handler(|size: usize| {
        let text = "x".repeat(size);
        stream::repeat_with(move || text.clone())
    });
    mesh.register(maker).await.unwrap();
    println!("ready");
    std::future::pending::<()>().await;
}

/// The consumers grant 4,294,967,295 chunks of a MiB each, which the host cannot pass on while the server is stopped.
#[tokio::test]
async fn consumer_that_grants_more_credit_than_it_reads_costs_its_host_a_window() {
    /// In KiB: 4 windows of 4 MiB, and a few chunks. Without a bound the client of the host takes 2,048 chunks.
    const FLAT: u64 = 48 * 1024;
    let test = TestMesh::start().await;
    let mut host = Peer::start("bounded_memory::host_of_large_chunks", test.server.url());
    host.reads("ready").await;
    let before = host.memory();
    let mut consumers = Vec::new();
    for number in 0..4 {
        let address = test.server.url().trim_start_matches("nats://").to_owned();
        let mut consumer = TcpStream::connect(address).await.unwrap();
        let headers = format!(
            "NATS/1.0\r\nX-Mesh-Request-Id: greedy{number}\r\nX-Mesh-Stream: true\r\n\
             X-Mesh-Stream-Credit: 4294967295\r\n\r\n"
        );
        let body = MIB.to_string();
        let (head, all) = (headers.len(), headers.len() + body.len());
        let request = format!(
            "CONNECT {{\"headers\":true,\"verbose\":false}}\r\nSUB mesh.stream.greedy{number} 1\r\n\
             HPUB mesh.agent.maker answers.{number} {head} {all}\r\n{headers}{body}\r\n"
        );
        consumer.write_all(request.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(&mut consumer).lines();
        while !within(lines.next_line())
            .await
            .unwrap()
            .unwrap()
            .starts_with("HMSG mesh.stream.")
        {}
        consumers.push(tokio::spawn(async move {
            tokio::io::copy(&mut consumer, &mut tokio::io::sink()).await
        }));
    }
    let signal = |name: &str| {
        let pid = test.server.pid().to_string();
        let sent = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(sent.success());
    };
    for round in 0..350 {
        match round {
            20 => signal("-STOP"),
            320 => signal("-CONT"),
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        let now = host.memory();
        assert!(
            now <= before + FLAT,
            "the host grew from {before} to {now} KiB"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_requests_beyond_64_mib_are_overloaded() {
    // 80 MiB.
    const REQUESTS: usize = 20;
    const LIMIT: Duration = Duration::from_secs(60);
    let test = TestMesh::start().await;
    let release = Arc::new(Semaphore::new(0));
    let released = release.clone();
    let spec = AgentSpec::new("gate", "Answers when it is released.");
    let gate = spec
        .concurrency(1)
        .queue(1000)
        .handler(move |text: String| {
            let released = released.clone();
            async move {
                released.acquire().await.expect_err("no permits");
                text.len()
            }
        });
    test.mesh.register(gate).await.unwrap();
    let caller = test.peer().await;
    let text = "x".repeat(4 * MIB);
    let calls = (0..REQUESTS).map(|_| {
        let call = caller.call::<usize>("gate", &text).timeout(LIMIT);
        let release = release.clone();
        async move {
            let result = call.into_future().await;
            // The first refusal shows that the queue is full.
            release.close();
            result
        }
    });
    let mut refused = 0;
    let results = tokio::time::timeout(LIMIT, join_all(calls)).await;
    for result in results.expect("timeout after 60 s") {
        match result {
            Ok(length) => assert_eq!(length, 4 * MIB),
            Err(error) => {
                assert_eq!(error.code(), &ErrorCode::Overloaded, "{error}");
                assert!(error.message().contains("64 MiB"), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused >= 1, "all requests were queued");
    // The memory of the refused ones is free again.
    let length = within(caller.call::<usize>("gate", &text)).await.unwrap();
    assert_eq!(length, 4 * MIB);
}

const EVENTS: usize = 6000;
const KEYS: usize = 1500;

/// Messages of 64 KiB after which a test waits until the reader's connection has read them: the server ends a connection
/// that lags by 64 MiB.
const MESSAGES_AHEAD: usize = 256;

/// Takes nothing until the command `go on`. Each other command is answered when the connection has read all that the server
/// had for it.
async fn stall(mesh: &AgentMesh) {
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    while let Some(command) = commands.next_line().await.unwrap()
        && command != "go on"
    {
        // The server sends the reply behind all earlier messages.
        within(mesh.kv().get("none")).await.unwrap();
        println!("answer read");
    }
}

#[tokio::test]
#[ignore = "role process of another test"]
async fn stalled_reader() {
    if !is_role() {
        return;
    }
    let mesh = AgentMesh::from_env().await.unwrap();
    let mut events = mesh.subscribe_subject::<()>("flood").raw().await.unwrap();
    let mut watch = mesh.kv().watch(">").await.unwrap();
    println!("ready");
    stall(&mesh).await;
    let (mut taken, mut lost) = (0, 0);
    while taken + lost < EVENTS {
        match events.next().await.unwrap() {
            Ok(_) => taken += 1,
            Err(error) => {
                assert_eq!(error.code(), &ErrorCode::ChunkSequenceError, "{error}");
                lost += usize::try_from(error.details()["lost"].as_u64().unwrap()).unwrap();
            }
        }
    }
    let mut keys = 0;
    while keys < KEYS {
        watch.next().await.unwrap().unwrap();
        keys += 1;
    }
    println!("answer {}", lost > 0);
    std::future::pending::<()>().await;
}

/// 375 MiB of events and 94 MiB of values, while the reader takes none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_subscription_and_watch_are_bounded_by_bytes() {
    /// In KiB: 64 MiB of events, and what the server delivers to a watch without an answer.
    const FLAT: u64 = 192 * 1024;
    let test = TestMesh::start().await;
    let mut reader = Peer::start("bounded_memory::stalled_reader", test.server.url());
    reader.reads("ready").await;
    let before = reader.memory();
    let raw = test.raw().await;
    let body = bytes::Bytes::from(vec![b'x'; 64 * 1024]);
    for number in 0..EVENTS {
        raw.publish("flood", body.clone()).await.unwrap();
        if number % MESSAGES_AHEAD == 0 {
            synchronize(&raw).await;
            reader.ask("read").await;
        }
    }
    let kv = test.mesh.kv();
    for number in 0..KEYS {
        kv.put(format!("key{number}"), body.clone()).await.unwrap();
        if number % MESSAGES_AHEAD == 0 {
            reader.ask("read").await;
        }
    }
    synchronize(&raw).await;
    reader.ask("read").await;
    let after = reader.memory();
    assert!(
        after <= before + FLAT,
        "the reader grew from {before} to {after} KiB"
    );
    // The connection of a reader that takes nothing is not lost.
    eventually(|| async { (reader.memory() <= before + FLAT).then_some(()) }).await;
    assert_eq!(reader.ask("go on").await, "true", "no event was lost");
}

#[tokio::test]
#[ignore = "role process of another test"]
async fn late_consumer() {
    if !is_role() {
        return;
    }
    let mesh = AgentMesh::from_env().await.unwrap();
    let mut chunks = mesh.stream::<String>("flood", ()).await.unwrap();
    let reply = mesh.send("flood", ()).reply::<String>().await.unwrap();
    mesh.send("flood", ())
        .on_reply(|_: String| std::future::pending())
        .await
        .unwrap();
    println!("ready");
    stall(&mesh).await;
    assert_eq!(reply.await.unwrap(), "0");
    let error = loop {
        match chunks.next().await.unwrap() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    println!("answer {}", error.code());
    std::future::pending::<()>().await;
}

/// A host that sends 375 MiB to each subject of a consumer that has taken nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flood_of_a_consumer_that_takes_nothing_is_bounded_by_bytes() {
    /// In KiB: 64 MiB of chunks, and what the connection reads at once.
    const FLAT: u64 = 160 * 1024;
    let test = TestMesh::start().await;
    let host = test.raw().await;
    let mut requests = subscribed(&host, "mesh.agent.flood").await;
    let mut consumer = Peer::start("bounded_memory::late_consumer", test.server.url());
    consumer.reads("ready").await;
    let before = consumer.memory();
    let large = format!("\"{}\"", "x".repeat(64 * 1024));
    for _ in 0..3 {
        let request = within(requests.next()).await.unwrap();
        let headers = request.headers.unwrap();
        let id = headers.get("X-Mesh-Request-Id").unwrap();
        let is_stream = headers.get("X-Mesh-Stream").is_some();
        let subject = match is_stream {
            true => format!("mesh.stream.{id}"),
            false => request.reply.unwrap().to_string(),
        };
        for seq in 0..EVENTS {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("X-Mesh-Stream-Seq", seq.to_string());
            let body = if seq == 0 { "\"0\"" } else { &large };
            let body = bytes::Bytes::copy_from_slice(body.as_bytes());
            let sent = host.publish_with_headers(subject.clone(), headers, body);
            sent.await.unwrap();
            if seq % MESSAGES_AHEAD == 0 {
                synchronize(&host).await;
                consumer.ask("read").await;
            }
        }
        synchronize(&host).await;
        consumer.ask("read").await;
    }
    let after = consumer.memory();
    assert!(
        after <= before + FLAT,
        "the consumer grew from {before} to {after} KiB"
    );
    eventually(|| async { (consumer.memory() <= before + FLAT).then_some(()) }).await;
    assert_eq!(consumer.ask("go on").await, "chunk_sequence_error");
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
#[tokio::test]
async fn memory_with_a_slow_consumer_is_bounded() {
    /// In KiB; without a bound the 100,000 chunks would take 100 MiB and more.
    const FLAT: u64 = 48 * 1024;
    let test = TestMesh::start().await;
    let mut host = Peer::start("bounded_memory::host_of_long_streams", test.server.url());
    host.reads("ready").await;
    let mut consumer = Peer::start("bounded_memory::slow_consumer", test.server.url());
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
