//! Captured messages of the published Python SDKs: each parses into the protocol's types and
//! serialises to an equal message.
//!
//! A capture has one message per line: subject, reply, headers and body. An empty body is `null`,
//! and the random part of inbox names is replaced.

use openagentmesh_protocol::object::ObjectMeta;
use openagentmesh_protocol::*;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

#[derive(Deserialize)]
struct Captured {
    subject: String,
    headers: serde_json::Map<String, Value>,
    data: Value,
}

/// Number of messages of each kind in a capture, so that no message is skipped.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    catalogs: usize,
    contracts: usize,
    requests: usize,
    replies: usize,
    errors: usize,
    chunks: usize,
    events: usize,
    stored: usize,
}

#[test]
fn captures_of_0_2_0_round_trip() {
    let seen = replay(include_str!("../wire/python-sdk-0.2.0.jsonl"));
    assert_eq!(seen, expected(25));
}

#[test]
fn captures_of_0_1_5_round_trip_except_for_the_channel() {
    let seen = replay(include_str!("../wire/python-sdk-0.1.5.jsonl"));
    assert_eq!(seen, expected(24));
}

fn expected(catalogs: usize) -> Seen {
    Seen {
        catalogs,
        contracts: 16,
        requests: 12,
        replies: 5,
        errors: 7,
        chunks: 6,
        events: 4,
        stored: 4,
    }
}

fn replay(capture: &str) -> Seen {
    let mut seen = Seen::default();
    for (index, line) in capture.lines().enumerate() {
        let captured: Captured = serde_json::from_str(line).unwrap();
        check(&captured, &mut seen).unwrap_or_else(|e| panic!("line {}: {e}\n{line}", index + 1));
    }
    seen
}

fn check(captured: &Captured, seen: &mut Seen) -> Result<(), Box<dyn std::error::Error>> {
    let subject = Subject::parse(&captured.subject);
    assert_eq!(subject.to_string(), captured.subject);
    let headers: Headers = captured
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    match subject {
        Subject::Agent(_) => {
            seen.requests += 1;
            assert_headers(&headers, |out| {
                RequestHeaders::read(&headers).unwrap().write(out)
            });
        }
        Subject::Stream(_) => {
            seen.chunks += 1;
            chunk(&headers, &captured.data)?;
        }
        Subject::Events(_) => {
            seen.events += 1;
            chunk(&headers, &captured.data)?;
        }
        // Replies to calls use inboxes; replies to sends use `mesh.results.*` and `mesh.errors.*`.
        Subject::Results(_) | Subject::Errors(_) | Subject::Other(_) => {
            let reply = ReplyHeaders::read(&headers)?;
            assert_headers(&headers, |out| reply.write(out));
            match reply.status {
                Status::Ok => seen.replies += 1,
                Status::Error => {
                    seen.errors += 1;
                    round_trip::<ErrorObject>(&captured.data)?;
                }
            }
        }
        Subject::Catalog => {
            seen.catalogs += 1;
            catalog(&captured.data)?;
        }
        Subject::Registry(name) => {
            seen.contracts += 1;
            contract(&name, &headers, &captured.data)?;
        }
        Subject::ObjectMeta(_) => {
            seen.stored += 1;
            round_trip::<ObjectMeta>(&captured.data)?;
        }
        // The body is free-form, so only the subject is parsed.
        Subject::Context(_) | Subject::ObjectChunk(_) => seen.stored += 1,
        other => return Err(format!("unexpected message on {other}").into()),
    }
    Ok(())
}

fn chunk(headers: &Headers, data: &Value) -> Result<(), Box<dyn std::error::Error>> {
    let chunk = ChunkHeaders::read(headers)?;
    assert_headers(headers, |out| chunk.write(out));
    match chunk.status {
        Some(Status::Error) => round_trip::<ErrorObject>(data)?,
        _ if chunk.end => assert!(data.is_null(), "an end marker has no body"),
        _ => assert!(chunk.seq.is_some() && !data.is_null()),
    }
    Ok(())
}

fn catalog(data: &Value) -> Result<(), Box<dyn std::error::Error>> {
    let document = CatalogDocument::parse(data.to_string().as_bytes())?;
    assert_eq!(
        serde_json::from_slice::<Value>(&document.to_json()?)?,
        *data
    );

    let captured = data.as_array().unwrap();
    let entries: Vec<CatalogEntry> = document.entries().collect();
    assert_eq!(entries.len(), captured.len(), "every entry is understood");
    for (entry, captured) in entries.iter().zip(captured) {
        assert_eq!(serde_json::to_value(entry)?, with_full_name(captured));
        assert!(entry.extra.is_empty(), "every field is understood");
    }
    Ok(())
}

fn contract(
    name: &AgentName,
    headers: &Headers,
    data: &Value,
) -> Result<(), Box<dyn std::error::Error>> {
    if headers.get(header::KV_OPERATION) == Some("DEL") {
        assert!(data.is_null());
        return Ok(());
    }
    let contract: Contract = serde_json::from_value(data.clone())?;
    assert_eq!(contract.name, *name);
    let shape = [
        Shape::Responder,
        Shape::Streamer,
        Shape::Publisher,
        Shape::Watcher,
    ]
    .into_iter()
    .find(|shape| shape.capabilities() == contract.capabilities)
    .unwrap();
    assert_eq!(
        contract.chunk_schema.is_some(),
        shape.capabilities().streaming
    );

    let mut expected = data.clone();
    let extension = expected["x-agentmesh"].as_object_mut().unwrap();
    if let Some(channel) = extension.remove("channel") {
        let full = with_full_name(&serde_json::json!({"name": data["name"], "channel": channel}));
        let skill = &mut expected["skills"][0];
        skill["id"] = full["name"].clone();
        skill["name"] = full["name"].clone();
        expected["name"] = full["name"].clone();
    }
    assert_eq!(serde_json::to_value(contract)?, expected);
    Ok(())
}

/// The object with the channel of 0.1.5 moved into the name.
fn with_full_name(captured: &Value) -> Value {
    let mut entry = captured.as_object().unwrap().clone();
    if let Some(Value::String(channel)) = entry.remove("channel") {
        let local = entry["name"].as_str().unwrap();
        entry["name"] = Value::String(format!("{channel}.{local}"));
    }
    Value::Object(entry)
}

fn round_trip<T: DeserializeOwned + serde::Serialize>(
    data: &Value,
) -> Result<(), Box<dyn std::error::Error>> {
    let parsed: T = serde_json::from_value(data.clone())?;
    assert_eq!(serde_json::to_value(parsed)?, *data);
    Ok(())
}

fn assert_headers(captured: &Headers, write: impl FnOnce(&mut Headers)) {
    let mut written = Headers::default();
    write(&mut written);
    let sorted = |headers: &Headers| {
        let mut all: Vec<_> = headers
            .iter()
            .map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()))
            .collect();
        all.sort();
        all
    };
    assert_eq!(sorted(&written), sorted(captured));
}
