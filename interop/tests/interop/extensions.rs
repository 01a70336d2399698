//! The published SDKs ignore the extensions of the Rust SDK.

use std::sync::Arc;

use async_nats::Message;
use futures::TryStreamExt;
use interop::Sdk;
use openagentmesh::{AgentSpec, agents};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};

use crate::common::{Tap, TestMesh, header, within};
use crate::rust_agents::{Piece, echo, pieces};

interop::with_each_sdk!(
    slow_reply_arrives_and_only_callers_with_the_probe_header_are_probed,
    python_caller_ignores_the_headers_of_a_rust_host,
    python_host_ignores_the_headers_of_a_rust_caller,
);

async fn slow_reply_arrives_and_only_callers_with_the_probe_header_are_probed(sdk: Sdk) {
    let test = TestMesh::start().await;
    let (running, mut runs) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let slow = AgentSpec::new("slow", "Waits for a permit.").handler({
        let gate = Arc::clone(&gate);
        move |text: String| {
            running.send(()).unwrap();
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await.unwrap().forget();
                text
            }
        }
    });
    test.mesh.register([slow]).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    let rust = test.rust_peer().await;
    let mut tap = Tap::start(&test).await;

    let arguments = json!({"name": "slow", "payload": "python"});
    let python_asks = python.ask("ask_in_every_way", arguments);
    let rust_side = async {
        for _ in 0..3 {
            within(runs.recv()).await.unwrap();
        }
        // A later caller with the probe header: its second probe follows the first probes of the earlier
        // callers, if these were probed.
        let rust_asks = rust.call::<String>("slow", "rust");
        let probed = async {
            let is_its_request =
                |m: &Message| header(m, "X-Mesh-Probe").is_some() && !m.payload.is_empty();
            let request = tap.next(is_its_request).await;
            let caller = request.reply.unwrap();
            for _ in 0..2 {
                let probe = tap.next(|m| header(m, "X-Mesh-Probe").is_some()).await;
                assert_eq!(probe.subject, caller);
            }
            gate.add_permits(4);
            caller
        };
        let (reply, caller) = tokio::join!(rust_asks.into_future(), probed);
        assert_eq!(reply.unwrap(), "rust");
        caller
    };
    let (replies, caller) = tokio::join!(python_asks, rust_side);
    let replies = replies.unwrap();
    assert_eq!(replies["call"], "python");
    assert_eq!(replies["send_on_reply"], json!({"reply": "python"}));
    assert_eq!(replies["send_reply_to"]["body"], "python");
    for message in tap.rest().await {
        if header(&message, "X-Mesh-Probe").is_some() {
            assert_eq!(message.subject, caller, "only this caller is probed");
        }
    }
}

async fn python_caller_ignores_the_headers_of_a_rust_host(sdk: Sdk) {
    let test = TestMesh::start().await;
    test.mesh.register(agents![echo, pieces]).await.unwrap();
    let mut python = test.python_peer(sdk).await;
    let mut tap = Tap::start(&test).await;
    let host = test.mesh.instance_id().as_str();

    let arguments = json!({"name": "echo", "payload": "x"});
    assert_eq!(python.ask("call", arguments).await.unwrap(), "Echo: x");
    let reply = tap.next(|m| header(m, "X-Mesh-Status").is_some()).await;
    assert_eq!(header(&reply, "X-Mesh-Instance-Id"), Some(host));

    let arguments = json!({"name": "nlp.pieces", "payload": "x"});
    let chunks = python.ask("stream", arguments).await.unwrap();
    assert_eq!(chunks, json!([{"index": 0, "text": "x"}]));
    let is_chunk = |m: &Message| m.subject.starts_with("mesh.stream.");
    let chunk = tap.next(is_chunk).await;
    assert_eq!(header(&chunk, "X-Mesh-Instance-Id"), Some(host));
    assert!(
        chunk.reply.is_some(),
        "the subject for signals of consumers"
    );
    // The published SDKs send no signals.
    let sent = tap.rest().await;
    assert!(
        sent.iter()
            .all(|m| Some(&m.subject) != chunk.reply.as_ref())
    );
}

async fn python_host_ignores_the_headers_of_a_rust_caller(sdk: Sdk) {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let test = TestMesh::start().await;
    let _python = test.python_host(sdk, &["echo", "nlp.pieces"]).await;
    let mesh = &test.mesh;
    let mut tap = Tap::start(&test).await;
    let is_request = |m: &Message| m.subject.starts_with("mesh.agent.");

    let call = mesh.call::<String>("echo", "x");
    let call = call.header("traceparent", TRACE).header("Shop", "corner");
    assert_eq!(within(call).await.unwrap(), "Echo: x");
    let request = tap.next(is_request).await;
    for name in [
        "X-Mesh-Instance-Id",
        "X-Mesh-Timeout-Ms",
        "X-Mesh-Probe",
        "Shop",
    ] {
        assert!(header(&request, name).is_some(), "{name}");
    }
    assert_eq!(header(&request, "traceparent"), Some(TRACE));

    let chunks = mesh.stream::<Piece>("nlp.pieces", "x");
    let chunks = chunks.header("traceparent", TRACE).window(1).await.unwrap();
    let chunks: Vec<Piece> = within(chunks.try_collect()).await.unwrap();
    assert_eq!(chunks, [Piece::new(0, "x")]);
    let request = tap.next(is_request).await;
    assert_eq!(header(&request, "X-Mesh-Stream-Credit"), Some("1"));
    // The server may reply to this subject; a host of the published SDKs never does.
    let inbox = request.reply.unwrap();
    let rest = tap.rest().await;
    assert!(rest.iter().all(|m| m.subject != inbox));

    let reply = mesh.send("echo", "x").header("traceparent", TRACE);
    let reply = reply.reply::<Value>().await.unwrap();
    assert_eq!(within(reply).await.unwrap(), "Echo: x");
}
