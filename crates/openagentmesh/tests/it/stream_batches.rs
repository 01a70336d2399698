//! Several chunks in a message, and the subscription that all streams of a process share.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::support::{Alive, TestMesh, subscribed, synchronize, within};
use async_nats::{Client, HeaderMap, Message, Subscriber};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use openagentmesh::{AgentSpec, ErrorCode, RawHandler};
use tokio::sync::{Mutex, mpsc};

fn counter() -> openagentmesh::Agent {
    AgentSpec::new("counter", "Counts up to a number.").handler(|to: u64| stream::iter(0..to))
}

/// A stream as a plain NATS client receives it.
struct PlainStream {
    client: Client,
    chunks: Subscriber,
}

impl PlainStream {
    /// Requests a stream of `agent`, with further `headers`.
    async fn open(test: &TestMesh, agent: &str, body: &str, more: &[(&str, &str)]) -> Self {
        let client = test.raw().await;
        let chunks = subscribed(&client, "mesh.stream.plain.1").await;
        let mut headers = HeaderMap::new();
        headers.insert("X-Mesh-Request-Id", "plain.1");
        headers.insert("X-Mesh-Stream", "true");
        for (name, value) in more {
            headers.insert(*name, *value);
        }
        let subject = format!("mesh.agent.{agent}");
        let sent = client.publish_with_headers(subject, headers, body.to_owned().into());
        sent.await.unwrap();
        Self { client, chunks }
    }

    async fn next(&mut self) -> Message {
        within(self.chunks.next()).await.unwrap()
    }

    /// The messages until the end marker, that included.
    async fn rest(mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let message = self.next().await;
            let is_end = header(&message, "X-Mesh-Stream-End") == Some("true");
            messages.push(message);
            if is_end {
                return messages;
            }
        }
    }
}

fn header<'m>(message: &'m Message, name: &str) -> Option<&'m str> {
    let headers = message.headers.as_ref()?;
    headers.get(name).map(|value| value.as_str())
}

fn number(message: &Message, name: &str) -> Option<u64> {
    header(message, name).map(|value| value.parse().unwrap())
}

/// The chunks of `messages`, whose numbers are checked.
fn chunks(messages: &[Message]) -> Vec<String> {
    let mut chunks = Vec::new();
    for message in messages {
        assert_eq!(
            number(message, "X-Mesh-Stream-Seq"),
            Some(chunks.len() as u64)
        );
        let body = std::str::from_utf8(&message.payload).unwrap();
        match number(message, "X-Mesh-Stream-Count") {
            Some(count) => {
                let lines: Vec<String> = body.split('\n').map(str::to_owned).collect();
                assert_eq!(lines.len() as u64, count);
                assert!(count > 1);
                chunks.extend(lines);
            }
            None => chunks.push(body.to_owned()),
        }
    }
    chunks
}

#[tokio::test]
async fn chunks_that_are_ready_share_messages_if_the_consumer_asks_for_it() {
    const CHUNKS: u64 = 100_000;
    let test = TestMesh::start().await;
    test.mesh.register(counter()).await.unwrap();
    let to = CHUNKS.to_string();
    let batch = [("X-Mesh-Stream-Batch", "1")];
    let mut messages = PlainStream::open(&test, "counter", &to, &batch)
        .await
        .rest()
        .await;
    let end = messages.pop().unwrap();
    assert_eq!(number(&end, "X-Mesh-Stream-Seq"), Some(CHUNKS));
    assert!(end.payload.is_empty() && header(&end, "X-Mesh-Stream-Count").is_none());
    let expected: Vec<String> = (0..CHUNKS).map(|number| number.to_string()).collect();
    assert_eq!(chunks(&messages), expected);
    assert_eq!(
        &messages[0].payload[..],
        b"0",
        "the first chunk does not wait"
    );
    assert!(
        messages.len() < CHUNKS as usize / 4,
        "{} messages",
        messages.len()
    );
    assert!(
        messages
            .iter()
            .all(|message| message.payload.len() <= 64 * 1024)
    );

    // One that does not ask, or asks for another form.
    for headers in [&[][..], &[("X-Mesh-Stream-Batch", "2")]] {
        let messages = PlainStream::open(&test, "counter", "1000", headers)
            .await
            .rest()
            .await;
        assert_eq!(messages.len(), 1001);
        assert!(
            messages
                .iter()
                .all(|message| header(message, "X-Mesh-Stream-Count").is_none())
        );
    }
}

#[tokio::test]
async fn credit_counts_the_chunks_of_a_message() {
    let test = TestMesh::start().await;
    test.mesh.register(counter()).await.unwrap();
    let headers = [("X-Mesh-Stream-Batch", "1"), ("X-Mesh-Stream-Credit", "3")];
    let mut stream = PlainStream::open(&test, "counter", "10", &headers).await;
    let mut received = Vec::new();
    for credit in [3, 4, 3] {
        let mut left = credit;
        while left > 0 {
            let message = stream.next().await;
            left -= number(&message, "X-Mesh-Stream-Count").unwrap_or(1);
            received.push(message);
        }
        // The host waits: nothing arrives before a message that is sent now.
        synchronize(&stream.client).await;
        let next = if received.last().unwrap().payload == "9" {
            0
        } else {
            4
        };
        let credit = received.last().unwrap().reply.clone().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("X-Mesh-Stream-Credit", next.to_string());
        let sent = stream
            .client
            .publish_with_headers(credit, headers, Bytes::new());
        sent.await.unwrap();
        if received
            .iter()
            .map(|m| number(m, "X-Mesh-Stream-Count").unwrap_or(1))
            .sum::<u64>()
            == 7
        {
            assert_eq!(chunks(&received).len(), 7, "never more than the credit");
        }
    }
    assert_eq!(
        chunks(&received),
        (0..10).map(|n| n.to_string()).collect::<Vec<_>>()
    );
}

/// An agent whose chunks a test sends.
fn driven(
    spec: AgentSpec,
    chunks: mpsc::UnboundedReceiver<Result<u32, openagentmesh::Error>>,
) -> openagentmesh::Agent {
    let chunks = Arc::new(Mutex::new(chunks));
    spec.handler(move |(): ()| {
        stream::unfold(Arc::clone(&chunks), |chunks| async move {
            let chunk = chunks.lock().await.recv().await?;
            Some((chunk, chunks))
        })
    })
}

#[tokio::test]
async fn chunk_does_not_wait_for_one_that_is_not_ready_nor_behind_an_error() {
    let test = TestMesh::start().await;
    let (sender, chunks) = mpsc::unbounded_channel();
    let agent = driven(AgentSpec::new("driven", "Streams numbers."), chunks);
    test.mesh.register(agent).await.unwrap();
    let mut stream = test.peer().await.stream::<u32>("driven", ()).await.unwrap();
    for round in 0..20 {
        // The last one arrives although the handler goes on waiting.
        for number in 0..round {
            sender.send(Ok(number)).unwrap();
        }
        for number in 0..round {
            assert_eq!(within(stream.next()).await.unwrap().unwrap(), number);
        }
    }
    for number in 0..5 {
        sender.send(Ok(number)).unwrap();
    }
    sender
        .send(Err(openagentmesh::Error::new("broken", "it broke")))
        .unwrap();
    for number in 0..5 {
        assert_eq!(within(stream.next()).await.unwrap().unwrap(), number);
    }
    let error = within(stream.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::from("broken"));
    assert!(within(stream.next()).await.is_none());
}

#[tokio::test]
async fn chunk_with_a_line_break_arrives_whole() {
    let test = TestMesh::start().await;
    let lines = ["1", "[2,\n 3]", "4", "5"];
    let raw =
        RawHandler::streamer(move |_request| stream::iter(lines.map(|line| Ok(Bytes::from(line)))));
    let agent = AgentSpec::new("lines", "Streams JSON over several lines.").raw(raw);
    test.mesh.register(agent).await.unwrap();
    let caller = test.peer().await;
    let all = within(caller.stream::<serde_json::Value>("lines", ()))
        .await
        .unwrap();
    let all: Vec<serde_json::Value> = within(all.try_collect()).await.unwrap();
    assert_eq!(serde_json::json!(all), serde_json::json!([1, [2, 3], 4, 5]));
}

/// A host that is a plain NATS client, with one request for a stream.
struct PlainHost {
    client: Client,
    requests: Subscriber,
    ids: VecDeque<String>,
}

impl PlainHost {
    async fn start(test: &TestMesh, agent: &str) -> Self {
        let client = test.raw().await;
        let requests = subscribed(&client, &format!("mesh.agent.{agent}")).await;
        Self {
            client,
            requests,
            ids: VecDeque::new(),
        }
    }

    /// The id of the next request.
    async fn request(&mut self) -> String {
        let request = within(self.requests.next()).await.unwrap();
        assert_eq!(header(&request, "X-Mesh-Stream-Batch"), Some("1"));
        let id = header(&request, "X-Mesh-Request-Id").unwrap().to_owned();
        self.ids.push_back(id.clone());
        id
    }

    async fn send(&self, id: &str, seq: u64, count: Option<&str>, body: &'static str) {
        let mut headers = HeaderMap::new();
        headers.insert("X-Mesh-Stream-Seq", seq.to_string());
        if let Some(count) = count {
            headers.insert("X-Mesh-Stream-Count", count);
        }
        let subject = format!("mesh.stream.{id}");
        let sent = self.client.publish_with_reply_and_headers(
            subject,
            "_INBOX.host.1",
            headers,
            body.into(),
        );
        sent.await.unwrap();
    }
}

#[tokio::test]
async fn messages_of_one_and_of_several_chunks_are_mixed() {
    let test = TestMesh::start().await;
    let mut host = PlainHost::start(&test, "plain").await;
    let mut stream = test.mesh.stream::<u64>("plain", ()).await.unwrap();
    let id = host.request().await;
    host.send(&id, 0, None, "0").await;
    host.send(&id, 1, Some("3"), "1\n2\n3").await;
    host.send(&id, 4, Some("1"), "4").await;
    host.send(&id, 5, Some("2"), "5\n6").await;
    for expected in 0..7 {
        assert_eq!(within(stream.next()).await.unwrap().unwrap(), expected);
    }
    // A gap after a message of several.
    host.send(&id, 8, None, "8").await;
    let error = within(stream.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::ChunkSequenceError);
    assert_eq!(error.details()["expected_seq"], 7);
}

#[tokio::test]
async fn message_with_a_wrong_count_ends_the_stream() {
    let test = TestMesh::start().await;
    let mut host = PlainHost::start(&test, "plain").await;
    for (count, body) in [
        ("3", "0\n1"),
        ("2", "0\n1\n2"),
        ("2", ""),
        ("4294967295", "0"),
        ("0", "0"),
        ("-1", "0"),
        ("many", "0"),
        // One more than the consumer has allowed.
        ("9", "0\n1\n2\n3\n4\n5\n6\n7\n8"),
    ] {
        let mut stream = test.mesh.stream::<u64>("plain", ()).await.unwrap();
        let id = host.request().await;
        host.send(&id, 0, Some(count), body).await;
        let error = within(stream.next()).await.unwrap().unwrap_err();
        assert_eq!(
            error.code(),
            &ErrorCode::ChunkSequenceError,
            "{count}: {error}"
        );
        assert!(within(stream.next()).await.is_none());
    }
}

#[tokio::test]
async fn streams_of_a_process_share_a_subscription_and_a_dropped_one_is_cancelled() {
    let test = TestMesh::start().await;
    let mut host = PlainHost::start(&test, "plain").await;
    let mut signals = subscribed(&host.client, "_INBOX.host.1").await;
    let early = test.mesh.stream::<u64>("plain", ()).await.unwrap();
    let early_id = host.request().await;
    let mut late = test.mesh.stream::<u64>("plain", ()).await.unwrap();
    let late_id = host.request().await;
    let mut kept = test.mesh.stream::<u64>("plain", ()).await.unwrap();
    let kept_id = host.request().await;
    let prefix = |id: &str| id.rsplit_once('.').unwrap().0.to_owned();
    assert_eq!(prefix(&early_id), prefix(&late_id));

    // Dropped before its host is known: its chunk is answered, once.
    drop(early);
    for seq in 0..3 {
        host.send(&early_id, seq, None, "0").await;
    }
    let signal = within(signals.next()).await.unwrap();
    assert_eq!(header(&signal, "X-Mesh-Cancel"), Some("true"));

    // Dropped after a chunk: the host learns of it without a further chunk.
    host.send(&late_id, 0, None, "0").await;
    assert_eq!(within(late.next()).await.unwrap().unwrap(), 0);
    drop(late);
    let signal = within(signals.next()).await.unwrap();
    assert_eq!(header(&signal, "X-Mesh-Cancel"), Some("true"));

    // The others go on.
    host.send(&kept_id, 0, None, "7").await;
    assert_eq!(within(kept.next()).await.unwrap().unwrap(), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handler_of_a_dropped_stream_ends_while_others_of_its_consumer_go_on() {
    let test = TestMesh::start().await;
    let alive = Alive::default();
    let counted = alive.clone();
    let spec = AgentSpec::new("endless", "Streams numbers without an end.");
    let endless = spec.handler(move |(): ()| {
        let guard = counted.guard();
        stream::unfold((0_u64, guard), |(number, guard)| async move {
            tokio::task::yield_now().await;
            Some((number, (number + 1, guard)))
        })
    });
    test.mesh.register(endless).await.unwrap();
    let caller = test.peer().await;
    let mut kept = caller.stream::<u64>("endless", ()).await.unwrap();
    assert_eq!(within(kept.next()).await.unwrap().unwrap(), 0);
    for _ in 0..20 {
        let mut dropped = caller.stream::<u64>("endless", ()).await.unwrap();
        assert_eq!(within(dropped.next()).await.unwrap().unwrap(), 0);
    }
    alive.are(1).await;
    for expected in 1..5000 {
        assert_eq!(within(kept.next()).await.unwrap().unwrap(), expected);
    }
    drop((kept, caller));
    alive.are(0).await;
}
