//! Coalescing, order and room of the publisher.

use std::time::Duration;

use async_nats::Subscriber;
use futures::StreamExt;
use openagentmesh_local::LocalServer;
use tokio::task::yield_now;

use super::*;

/// A publisher, and a subscription to all that it publishes.
async fn publisher() -> (LocalServer, Client, Publisher, Subscriber) {
    let server = LocalServer::start().await.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let subscriber = client.subscribe("to").await.unwrap();
    let publisher = Publisher::new(
        &ClientSlot::fixed(client.clone()),
        &ConnectionMonitor::new("_INBOX"),
    );
    (server, client, publisher, subscriber)
}

impl Publisher {
    fn number(&self, others: usize, number: u32) -> Publishing<'_> {
        let body = Bytes::from(number.to_string());
        self.publish_coalesced(others, "to", None, HeaderMap::new(), body)
    }

    fn queued(&self) -> usize {
        self.shared.queue.lock().coalesced.len()
    }
}

async fn expect(subscriber: &mut Subscriber, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let message = tokio::time::timeout(Duration::from_secs(20), subscriber.next());
        let message = message.await.unwrap().unwrap();
        assert_eq!(message.payload, number.to_string());
    }
}

#[tokio::test]
async fn messages_of_one_task_arrive_in_order() {
    let (_server, _client, publisher, mut subscriber) = publisher().await;
    for number in 0..10_000 {
        // Coalesced now and then, in long and short runs.
        let others = if number % 1000 < 300 || number % 7 == 0 {
            MIN_CONCURRENT
        } else {
            0
        };
        publisher.number(others, number).await.unwrap();
    }
    expect(&mut subscriber, 0..10_000).await;
}

#[tokio::test]
async fn messages_of_concurrent_requests_are_coalesced() {
    let (_server, _client, publisher, mut subscriber) = publisher().await;
    publisher.number(MIN_CONCURRENT - 1, 0).await.unwrap();
    assert_eq!(publisher.queued(), 0, "too few others");
    for number in 1..10 {
        publisher.number(MIN_CONCURRENT, number).await.unwrap();
    }
    assert_eq!(publisher.queued(), 9);
    publisher.number(0, 10).await.unwrap();
    assert_eq!(publisher.queued(), 0, "a direct message flushes the queue");
    publisher.number(MIN_CONCURRENT, 11).await.unwrap();
    assert_eq!(publisher.queued(), 1);
    publisher.flush().await;
    assert_eq!(publisher.queued(), 0);
    publisher.number(MIN_CONCURRENT, 12).await.unwrap();
    expect(&mut subscriber, 0..13).await;
}

#[tokio::test]
async fn full_queue_hands_messages_over_directly() {
    let (_server, _client, publisher, mut subscriber) = publisher().await;
    let numbers = 0..MAX_QUEUED as u32 + 10;
    for number in numbers.clone() {
        publisher.number(MIN_CONCURRENT, number).await.unwrap();
        assert!(publisher.queued() <= MAX_QUEUED);
    }
    expect(&mut subscriber, numbers).await;
}

#[tokio::test]
async fn publish_without_room_waits() {
    let (_server, _client, publisher, mut subscriber) = publisher().await;
    // The client's task cannot run in the meantime, so that the room is used up.
    let fill = unconstrained(async {
        let mut numbers = 0;
        loop {
            let others = if numbers % 2 == 0 { 0 } else { MIN_CONCURRENT };
            let publishing = publisher.number(others, numbers);
            numbers += 1;
            if let Either::Right(waiting) = publishing {
                waiting.await.unwrap();
                return numbers;
            }
        }
    });
    let numbers = fill.await;
    assert!(numbers > 1000);
    expect(&mut subscriber, 0..numbers).await;
}

#[tokio::test]
async fn dropped_publisher_flushes_its_queue() {
    let (_server, _client, publisher, mut subscriber) = publisher().await;
    for number in 0..10 {
        publisher.number(MIN_CONCURRENT, number).await.unwrap();
    }
    drop(publisher);
    expect(&mut subscriber, 0..10).await;
}

/// The flush task runs on the worker whose next task blocks. The other worker is idle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coalesced_message_on_a_blocked_worker_is_sent_by_another_one() {
    use std::sync::mpsc;

    let (_server, _client, publisher, mut subscriber) = publisher().await;
    // The flush task waits for messages once it has sent one.
    publisher.number(MIN_CONCURRENT, 0).await.unwrap();
    expect(&mut subscriber, 0..1).await;

    // One worker is held until the other one is blocked: it cannot take over tasks earlier.
    let (held, is_held) = tokio::sync::oneshot::channel();
    let (blocked, is_blocked) = mpsc::channel();
    let holding = tokio::spawn(async move {
        held.send(()).unwrap();
        is_blocked.recv().unwrap();
    });
    is_held.await.unwrap();
    let (release, is_released) = mpsc::channel::<()>();
    let publishing = tokio::spawn(async move {
        let blocking = tokio::spawn(async move {
            blocked.send(()).unwrap();
            is_released.recv().unwrap();
        });
        publisher.number(MIN_CONCURRENT, 1).await.unwrap();
        (publisher, blocking)
    });
    expect(&mut subscriber, 1..2).await;
    release.send(()).unwrap();
    let (_publisher, blocking) = publishing.await.unwrap();
    blocking.await.unwrap();
    holding.await.unwrap();
}

#[tokio::test]
async fn closed_connection_fails_direct_messages_and_drops_coalesced_ones() {
    let (_server, client, publisher, mut subscriber) = publisher().await;
    client.drain().await.unwrap();
    while subscriber.next().await.is_some() {}
    let closed = async {
        loop {
            if let Err(error) = publisher.number(0, 0).await {
                return error;
            }
            yield_now().await;
        }
    };
    let error = tokio::time::timeout(Duration::from_secs(20), closed).await;
    assert_eq!(error.unwrap().code(), &ErrorCode::ConnectionFailed);
    publisher.number(MIN_CONCURRENT, 0).await.unwrap();
    publisher.flush().await;
    assert_eq!(publisher.queued(), 0);
}
