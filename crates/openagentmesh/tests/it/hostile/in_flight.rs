//! A request in flight takes the memory of its own content.

use async_nats::HeaderMap;
use serde_json::Value;

use super::process::HostProcess;
use crate::support::{TestMesh, within};

/// The client reads all that has arrived into one buffer, of which a small request is a part.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_request_in_flight_does_not_keep_the_memory_of_large_ones() {
    const PAIRS: usize = 40;
    let test = TestMesh::start().await;
    let host = HostProcess::start(test.server.url()).await;
    let client = test.raw().await;
    let before = host.memory_mib();
    let large = bytes::Bytes::from(format!("{{\"text\":\"{}\"}}", "x".repeat(7_000_000)));
    for _ in 0..PAIRS {
        let refused = client.publish("mesh.agent.restricted", large.clone());
        refused.await.unwrap();
        let kept = client.publish_with_reply("mesh.agent.stuck", "_INBOX.a.1", "".into());
        kept.await.unwrap();
        client.flush().await.unwrap();
        // Behind them on the connection of the host: the server ends a connection that lags by 64 MiB.
        within(test.mesh.call::<String>("echo", "a")).await.unwrap();
    }
    host.memory_returns(before + 128, "40 requests of a few bytes")
        .await;
    host.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_with_too_many_headers_is_refused() {
    let test = TestMesh::start().await;
    let host = HostProcess::start(test.server.url()).await;
    let client = test.raw().await;
    let mut headers = HeaderMap::new();
    for number in 0..30_000 {
        headers.insert(format!("X-{number}"), "1");
    }
    let request = async_nats::Request::new()
        .headers(headers)
        .payload("\"a\"".into());
    let reply = within(client.send_request("mesh.agent.echo", request)).await;
    let error: Value = serde_json::from_slice(&reply.unwrap().payload).unwrap();
    assert_eq!(error["code"], "payload_too_large", "{error}");
    within(test.mesh.call::<String>("echo", "a")).await.unwrap();
    host.end().await;
}
