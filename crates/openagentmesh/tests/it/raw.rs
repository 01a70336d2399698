//! Agents without Rust types: each shape, its schemas and its errors.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use openagentmesh::{AgentSpec, BoxError, Error, ErrorCode, RawHandler, RawRequest, Shape};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::support::{TestMesh, eventually, subscribed, within};

fn spec(name: &str) -> AgentSpec {
    AgentSpec::new(name, "Does something.")
}

fn json_bytes(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

/// Returns the numbers up to the input.
fn count(request: RawRequest) -> impl futures::Stream<Item = Result<Bytes, BoxError>> {
    let to: u64 = serde_json::from_slice(&request.body).unwrap();
    stream::iter(1..=to).map(|n| Ok(json_bytes(&json!(n))))
}

#[tokio::test]
async fn raw_responder_gets_checked_input_and_context() {
    let test = TestMesh::start().await;
    let handler = RawHandler::responder(|request: RawRequest| async move {
        let input: Value = serde_json::from_slice(&request.body)?;
        let id = request.context.request_id().to_string();
        Ok(json_bytes(
            &json!({"input": input, "has_id": !id.is_empty()}),
        ))
    });
    test.mesh
        .register(spec("describe").raw(handler.input_schema(json!({"type": "object"}))))
        .await
        .unwrap();

    let reply: Value = within(test.mesh.call("describe", json!({"é": [1, null]})))
        .await
        .unwrap();
    assert_eq!(reply, json!({"input": {"é": [1, null]}, "has_id": true}));
}

#[tokio::test]
async fn raw_handler_is_not_run_for_invalid_input() {
    let test = TestMesh::start().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = |runs: &Arc<AtomicUsize>| {
        let runs = Arc::clone(runs);
        RawHandler::responder(move |request: RawRequest| {
            runs.fetch_add(1, Ordering::SeqCst);
            async move { Ok(request.body) }
        })
    };
    let schema = json!({
        "type": "object",
        "properties": {"text": {"type": "string", "minLength": 1}},
        "required": ["text"],
    });
    let strict = spec("strict").raw(counted(&runs).input_schema(schema));
    let lenient = spec("lenient").raw(counted(&runs));
    test.mesh.register([strict, lenient]).await.unwrap();

    for (input, location) in [
        (json!({"text": ""}), "/text"),
        (json!({}), "/text"),
        (json!(1), ""),
        (json!(null), ""),
    ] {
        let error = within(test.mesh.call::<Value>("strict", &input))
            .await
            .unwrap_err();
        assert_eq!(error.code(), &ErrorCode::InvalidInput, "{input}");
        assert_eq!(error.agent(), Some("strict"));
        assert_eq!(error.details()["errors"][0]["location"], location);
    }
    let raw = test.raw().await;
    for agent in ["strict", "lenient"] {
        for body in [&b"{\"text\": "[..], b"\"\xff\"", b"1 2"] {
            let subject = format!("mesh.agent.{agent}");
            let reply = within(raw.request(subject, Bytes::copy_from_slice(body)))
                .await
                .unwrap();
            let object: Value = serde_json::from_slice(&reply.payload).unwrap();
            assert_eq!(object["code"], "invalid_input", "{agent} {body:?}");
        }
    }
    assert_eq!(runs.load(Ordering::SeqCst), 0);

    let reply: Value = within(test.mesh.call("lenient", ())).await.unwrap();
    assert_eq!(reply, Value::Null);
    let reply: Value = within(test.mesh.call("strict", json!({"text": "a"})))
        .await
        .unwrap();
    assert_eq!(reply, json!({"text": "a"}));
}

#[tokio::test]
async fn raw_agent_has_its_schemas_in_the_contract() {
    let test = TestMesh::start().await;
    let (input, output) = (json!({"type": "integer"}), json!({"type": "string"}));
    let responder = RawHandler::responder(|request: RawRequest| async move { Ok(request.body) })
        .input_schema(input.clone())
        .output_schema(output.clone());
    let streamer = RawHandler::streamer(count)
        .input_schema(input.clone())
        .chunk_schema(output.clone());
    let any = RawHandler::responder(|request: RawRequest| async move { Ok(request.body) });
    let agents = [
        spec("responder").raw(responder),
        spec("streamer").raw(streamer),
        spec("any").raw(any),
    ];
    test.mesh.register(agents).await.unwrap();

    let contract = within(test.mesh.contract("responder")).await.unwrap();
    assert_eq!(contract.input_schema, Some(input.clone()));
    assert_eq!(contract.output_schema, Some(output.clone()));
    assert_eq!(contract.chunk_schema, None);
    let contract = within(test.mesh.contract("streamer")).await.unwrap();
    assert_eq!(contract.input_schema, Some(input));
    assert_eq!(contract.output_schema, None);
    assert_eq!(contract.chunk_schema, Some(output));
    let contract = within(test.mesh.contract("any")).await.unwrap();
    contract.validate(json!([1, "a"])).unwrap();
    assert!(contract.input_schema.is_some() && contract.output_schema.is_some());
}

#[tokio::test]
async fn raw_streamer_sends_each_chunk_and_the_error_at_the_end() {
    let test = TestMesh::start().await;
    let failing = RawHandler::streamer(|_| {
        stream::iter([
            Ok(Bytes::from_static(b"1")),
            Err(Error::new("out_of_numbers", "only one number is available").into()),
        ])
    });
    let broken = RawHandler::streamer(|_| stream::iter([Ok(Bytes::from_static(b"{"))]));
    let agents = [
        spec("count").raw(RawHandler::streamer(count)),
        spec("failing").raw(failing),
        spec("broken").raw(broken),
    ];
    test.mesh.register(agents).await.unwrap();

    let chunks = within(test.mesh.stream::<u64>("count", 300)).await.unwrap();
    let chunks: Vec<u64> = within(chunks.try_collect()).await.unwrap();
    assert_eq!(chunks, (1..=300).collect::<Vec<_>>());

    let mut chunks = within(test.mesh.stream::<u64>("failing", ()))
        .await
        .unwrap();
    assert_eq!(within(chunks.next()).await.unwrap().unwrap(), 1);
    let error = within(chunks.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code().as_str(), "out_of_numbers");

    let mut chunks = within(test.mesh.stream::<Value>("broken", ()))
        .await
        .unwrap();
    let error = within(chunks.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), &ErrorCode::HandlerError);
}

#[tokio::test]
async fn raw_trigger_answers_without_input() {
    let test = TestMesh::start().await;
    let handler = RawHandler::trigger(|request: RawRequest| async move {
        Ok(json_bytes(&json!(request.body.len())))
    });
    test.mesh.register(spec("now").raw(handler)).await.unwrap();
    assert_eq!(within(test.mesh.call::<u64>("now", ())).await.unwrap(), 0);
    // A body is ignored, as with a typed trigger.
    let reply: u64 = within(test.mesh.call("now", "ignored")).await.unwrap();
    assert_eq!(reply, 0);
}

#[tokio::test]
async fn raw_publisher_publishes_its_events() {
    let test = TestMesh::start().await;
    let source = broadcast::Sender::<u64>::new(64);
    let events = source.clone();
    let handler = RawHandler::publisher(move |_| {
        stream::unfold(events.subscribe(), |mut events| async move {
            let event = events.recv().await.ok()?;
            Some((Ok(json_bytes(&json!(event))), events))
        })
    });
    test.mesh
        .register(spec("ticks").raw(handler.chunk_schema(json!({"type": "integer"}))))
        .await
        .unwrap();
    eventually(|| async { (source.receiver_count() == 1).then_some(()) }).await;
    let peer = test.peer().await;
    let mut events = within(peer.subscribe::<u64>("ticks")).await.unwrap();
    for n in 0..3 {
        source.send(n).unwrap();
    }
    for n in 0..3 {
        assert_eq!(within(events.next()).await.unwrap().unwrap().data, n);
    }
}

#[tokio::test]
async fn raw_watcher_runs_again_after_an_error() {
    let test = TestMesh::start().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let handler = RawHandler::watcher(move |_| {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            if run == 0 {
                return Err("the first run fails".into());
            }
            Ok(())
        }
    });
    test.mesh.register(spec("tidy").raw(handler)).await.unwrap();
    eventually(|| async { (runs.load(Ordering::SeqCst) == 2).then_some(()) }).await;
}

#[tokio::test]
async fn raw_handler_errors_have_their_codes() {
    let test = TestMesh::start().await;
    let coded = RawHandler::responder(|_| async {
        Err(Error::new("sold_out", "none left")
            .with_detail("left", json!(0))
            .into())
    });
    let plain = RawHandler::responder(|_| async { Err("it broke".into()) });
    let panicking = RawHandler::responder(|request: RawRequest| async move {
        assert!(request.body.is_empty(), "a body");
        Ok(request.body)
    });
    let empty = RawHandler::responder(|_| async { Ok(Bytes::new()) });
    let not_json = RawHandler::responder(|_| async { Ok(Bytes::from_static(b"\"\xff\"")) });
    let agents = [
        spec("coded").raw(coded),
        spec("plain").raw(plain),
        spec("panicking").raw(panicking),
        spec("empty").raw(empty),
        spec("not_json").raw(not_json),
    ];
    test.mesh.register(agents).await.unwrap();

    let error = within(test.mesh.call::<Value>("coded", 1))
        .await
        .unwrap_err();
    assert_eq!(error.code().as_str(), "sold_out");
    assert_eq!(error.details()["left"], 0);
    for (agent, message) in [
        ("plain", "it broke"),
        ("panicking", "panicked"),
        ("empty", "invalid output of the handler"),
        ("not_json", "invalid output of the handler"),
    ] {
        let error = within(test.mesh.call::<Value>(agent, 1)).await.unwrap_err();
        assert_eq!(error.code(), &ErrorCode::HandlerError, "{agent}");
        assert!(error.message().contains(message), "{error}");
    }
}

#[tokio::test]
async fn raw_handler_of_each_shape_is_served() {
    let test = TestMesh::start().await;
    let peer = test.peer().await;
    let raw = test.raw().await;
    let mut events = subscribed(&raw, "mesh.agent.publisher.events").await;
    let runs = Arc::new(AtomicUsize::new(0));
    for shape in [
        Shape::Responder,
        Shape::Trigger,
        Shape::Streamer,
        Shape::Publisher,
        Shape::Watcher,
    ] {
        let runs = Arc::clone(&runs);
        let handler = RawHandler::of_shape(shape, move |_| {
            runs.fetch_add(1, Ordering::SeqCst);
            stream::iter([1, 2].map(|n| Ok(json_bytes(&json!(n)))))
        });
        let agent = spec(&shape.to_string()).raw(handler);
        assert_eq!(agent.shape(), shape);
        test.mesh.register(agent).await.unwrap();
    }
    assert_eq!(within(peer.call::<u64>("responder", 0)).await.unwrap(), 1);
    assert_eq!(within(peer.call::<u64>("trigger", ())).await.unwrap(), 1);
    let chunks = within(peer.stream::<u64>("streamer", 0)).await.unwrap();
    let chunks: Vec<u64> = within(chunks.try_collect()).await.unwrap();
    assert_eq!(chunks, [1, 2]);
    assert_eq!(within(events.next()).await.unwrap().payload, "1");
    eventually(|| async { (runs.load(Ordering::SeqCst) == 5).then_some(()) }).await;
}

#[tokio::test]
async fn raw_handler_without_an_output_is_a_handler_error() {
    let test = TestMesh::start().await;
    let handler = RawHandler::of_shape(Shape::Responder, |_| stream::empty());
    test.mesh
        .register(spec("silent").raw(handler))
        .await
        .unwrap();
    let error = within(test.mesh.call::<Value>("silent", 1))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::HandlerError);
}

#[tokio::test]
async fn raw_agent_with_unfit_schemas_is_refused() {
    let test = TestMesh::start().await;
    let output = || RawHandler::trigger(|_| async { Ok(Bytes::from_static(b"1")) });
    let events = || RawHandler::publisher(|_| stream::pending());
    let nothing = || RawHandler::watcher(|_| async { Ok(()) });
    let responder = || RawHandler::responder(|request: RawRequest| async move { Ok(request.body) });
    let remote = json!({"$ref": "http://127.0.0.1:9/schema"});
    let doubling = json!({
        "$ref": "#/$defs/d0",
        "$defs": (0..40)
            .map(|n| {
                let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
                (format!("d{n}"), json!({"anyOf": [next, next]}))
            })
            .chain([("d40".to_owned(), json!({}))])
            .collect::<serde_json::Map<_, _>>(),
    });
    for (handler, reason) in [
        (
            output().input_schema(json!({})),
            "unused input schema: a trigger has none",
        ),
        (
            output().chunk_schema(json!({})),
            "unused chunk schema: a trigger has none",
        ),
        (
            events().output_schema(json!({})),
            "unused output schema: a publisher has none",
        ),
        (
            nothing().chunk_schema(json!({})),
            "unused chunk schema: a watcher has none",
        ),
        (
            responder().chunk_schema(json!({})),
            "unused chunk schema: a responder has none",
        ),
        (
            responder().input_schema(json!(7)),
            "invalid input schema: 7",
        ),
        (
            responder().output_schema(json!({"type": "text"})),
            "invalid output schema: /type",
        ),
        (
            responder().input_schema(json!({"pattern": "a(?=b)"})),
            "look-around",
        ),
        (
            responder().input_schema(remote),
            "a schema may refer only to its own parts",
        ),
        (responder().input_schema(doubling), "schema too costly"),
    ] {
        let error = within(test.mesh.register(spec("unfit").raw(handler)))
            .await
            .unwrap_err();
        assert_eq!(error.code(), &ErrorCode::InvalidInput, "{error}");
        assert!(error.message().contains(reason), "{reason}: {error}");
    }
    assert!(within(test.mesh.catalog()).await.unwrap().is_empty());
}

#[tokio::test]
async fn raw_handler_that_validates_inputs_gets_every_json_value() {
    let test = TestMesh::start().await;
    let handler = RawHandler::responder(|request: RawRequest| async move {
        match &request.body[..] {
            b"\"refused\"" => Err(Error::new(ErrorCode::InvalidInput, "refused").into()),
            _ => Ok(request.body),
        }
    });
    // The host could not check the pattern.
    let schema = json!({"type": "integer", "pattern": "a(?=b)"});
    let handler = handler.input_schema(schema.clone()).validates_input();
    test.mesh.register(spec("own").raw(handler)).await.unwrap();

    let reply: Value = within(test.mesh.call("own", "7")).await.unwrap();
    assert_eq!(reply, json!("7"));
    let error = within(test.mesh.call::<Value>("own", "refused"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvalidInput, "{error}");
    let contract = within(test.mesh.contract("own")).await.unwrap();
    assert_eq!(contract.input_schema, Some(schema));

    let not_json = RawHandler::responder(|request: RawRequest| async move { Ok(request.body) });
    let not_json = not_json.input_schema(json!(7)).validates_input();
    let error = within(test.mesh.register(spec("unfit").raw(not_json)))
        .await
        .unwrap_err();
    assert_eq!(error.code(), &ErrorCode::InvalidInput, "{error}");
}
