//! A process publishes nothing in its own name that another process is not permitted to publish.

use async_nats::HeaderMap;
use async_nats::jetstream;
use futures::StreamExt;
use openagentmesh::AgentSpec;

use crate::support::{TestMesh, echo, eventually, subscribed, synchronize, within};

const ID: &str = "0123456789abcdef0123456789abcdef";

/// The subjects that only the server, stores and the processes of the mesh themselves publish to.
const REFUSED: [&str; 14] = [
    "$KV.mesh-catalog.catalog",
    "$KV.mesh-registry.echo",
    "$JS.API.STREAM.DELETE.KV_mesh-context",
    "$JS.API.STREAM.PURGE.KV_mesh-catalog",
    "mesh.errors.echo",
    "mesh.death.echo",
    "mesh.logs.echo",
    "mesh.health.echo",
    "mesh.instance.0",
    "mesh.agent.other",
    "mesh.agent.echo.events",
    "mesh.stream.1",
    "mesh.sys.disconnect",
    "mesh.results",
];

async fn messages(raw: &async_nats::Client, stream: &str) -> u64 {
    let stream = jetstream::new(raw.clone()).get_stream(stream).await;
    stream.unwrap().cached_info().state.last_sequence
}

#[tokio::test]
async fn reply_to_a_subject_of_the_mesh_is_refused() {
    let test = TestMesh::start().await;
    // Its reply has an empty body, which is a valid request of the server's API.
    let empty = AgentSpec::new("empty", "Returns nothing.").handler(|| async {});
    test.mesh.register([echo(), empty]).await.unwrap();
    let raw = test.raw().await;
    let mut errors = subscribed(&raw, "mesh.errors.>").await;
    let before = [
        messages(&raw, "KV_mesh-catalog").await,
        messages(&raw, "KV_mesh-registry").await,
    ];
    for reply in REFUSED {
        for (agent, body) in [("echo", "\"x\""), ("empty", "")] {
            let mut subscriber = subscribed(&raw, reply).await;
            for stream in [false, true] {
                let mut headers = HeaderMap::new();
                headers.insert("X-Mesh-Request-Id", ID);
                headers.insert("X-Mesh-Probe", "true");
                if stream {
                    headers.insert("X-Mesh-Stream", "true");
                }
                let subject = format!("mesh.agent.{agent}");
                raw.publish_with_reply_and_headers(subject, reply, headers, body.into())
                    .await
                    .unwrap();
                let letter = within(errors.next()).await.unwrap();
                let letter: serde_json::Value = serde_json::from_slice(&letter.payload).unwrap();
                assert_eq!(letter["code"], "invalid_input", "{reply}: {letter}");
                assert_eq!(letter["details"]["reply"], reply);
            }
            synchronize(&raw).await;
            let on_own_subject = reply == "mesh.errors.echo" && agent == "echo";
            let received = futures::FutureExt::now_or_never(subscriber.next());
            assert!(
                received.is_none() || on_own_subject,
                "{reply}: {received:?}"
            );
        }
    }
    let after = [
        messages(&raw, "KV_mesh-catalog").await,
        messages(&raw, "KV_mesh-registry").await,
    ];
    assert_eq!(before, after);
    messages(&raw, "KV_mesh-context").await;
    assert_eq!(
        within(test.mesh.call::<String>("echo", "x")).await.unwrap(),
        "Echo: x"
    );
}

#[tokio::test]
async fn hostile_host_cannot_direct_credit_or_cancellation() {
    const TARGET: &str = "$JS.API.STREAM.DELETE.KV_mesh-context";

    let test = TestMesh::start().await;
    // Creates the bucket, and an agent whose requests the hostile host takes.
    test.mesh.register(echo()).await.unwrap();
    let raw = test.raw().await;
    let mut tap = subscribed(&raw, TARGET).await;
    let mut requests = subscribed(&raw, "mesh.agent.evil").await;
    let caller = test.peer().await;

    // A stream whose chunks name the subject for credit; the stream is dropped early.
    let stream = caller.stream::<u32>("evil", ()).window(8);
    let (chunks, ()) = tokio::join!(stream, async {
        let request = within(requests.next()).await.unwrap();
        let id = request
            .headers
            .as_ref()
            .unwrap()
            .get("X-Mesh-Request-Id")
            .unwrap();
        let subject = format!("mesh.stream.{id}");
        for seq in 0..8_u32 {
            let mut headers = HeaderMap::new();
            headers.insert("X-Mesh-Stream-Seq", seq.to_string().as_str());
            raw.publish_with_reply_and_headers(subject.clone(), TARGET, headers, "1".into())
                .await
                .unwrap();
        }
    });
    let mut chunks = chunks.unwrap();
    for _ in 0..8 {
        assert_eq!(within(chunks.next()).await.unwrap().unwrap(), 1);
    }
    drop(chunks);

    // A call with a probe that names the subject for cancellation; the call is dropped.
    let call = tokio::spawn(caller.call::<u32>("evil", ()));
    let request = within(requests.next()).await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("X-Mesh-Probe", "true");
    let reply = request.reply.unwrap();
    raw.publish_with_reply_and_headers(reply.clone(), TARGET, headers.clone(), "".into())
        .await
        .unwrap();
    synchronize(&raw).await;
    call.abort();
    eventually(|| async { call.is_finished().then_some(()) }).await;
    // A probe of a request that is over.
    raw.publish_with_reply_and_headers(reply, TARGET, headers, "".into())
        .await
        .unwrap();

    // All that the caller has sent is delivered when a later call is answered.
    assert_eq!(
        within(caller.call::<String>("echo", "x")).await.unwrap(),
        "Echo: x"
    );
    synchronize(&raw).await;
    assert!(futures::FutureExt::now_or_never(tap.next()).is_none());
    messages(&raw, "KV_mesh-context").await;
}
