//! Property tests: names, subjects and envelopes round-trip, and no input makes a parser panic.

use std::num::NonZeroU32;

use openagentmesh_protocol::tool::OpenAiApi;
use openagentmesh_protocol::*;
use proptest::prelude::*;

use crate::provider_rules::{Form, checked};

fn name() -> impl Strategy<Value = AgentName> {
    "[A-Za-z0-9_-]{1,12}(\\.[A-Za-z0-9_-]{1,12}){0,4}".prop_map(|n| AgentName::new(n).unwrap())
}

fn request_id() -> impl Strategy<Value = RequestId> {
    "[A-Za-z0-9_-]{1,64}(\\.[A-Za-z0-9_-]{1,30}){0,2}".prop_map(|id| RequestId::parse(id).unwrap())
}

fn instance_id() -> impl Strategy<Value = InstanceId> {
    "[0-9a-f]{32}".prop_map(|id| InstanceId::parse(id).unwrap())
}

/// A header value: printable ASCII on one line.
fn text() -> impl Strategy<Value = String> {
    "[ -~]{1,40}"
}

fn usage() -> impl Strategy<Value = Usage> {
    (
        proptest::option::of(any::<u64>()),
        proptest::option::of(any::<u64>()),
        proptest::option::of(text()),
        proptest::option::of(0.0..1e6f64),
    )
        .prop_map(
            |(input_tokens, total_tokens, model, estimated_cost_usd)| Usage {
                input_tokens,
                total_tokens,
                model,
                estimated_cost_usd,
                ..Usage::default()
            },
        )
}

proptest! {
    // A failure is reported in full, so no regression file is needed.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn names_round_trip(name in name()) {
        let json = serde_json::to_string(&name).unwrap();
        prop_assert_eq!(&serde_json::from_str::<AgentName>(&json).unwrap(), &name);
        prop_assert_eq!(AgentName::in_channel(name.channel(), name.local()).unwrap(), name);
    }

    #[test]
    fn any_string_is_a_name_or_an_error(text in any::<String>()) {
        match AgentName::new(text.clone()) {
            Ok(name) => prop_assert_eq!(name.as_str(), text),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn subjects_round_trip(name in name(), id in request_id()) {
        prop_assume!(name.local() != "events");
        for subject in [
            Subject::Agent(name.clone()),
            Subject::Events(name.clone()),
            Subject::Errors(name.clone()),
            Subject::Death(name.clone()),
            Subject::Logs(name.clone()),
            Subject::Health(name.clone()),
            Subject::Registry(name.clone()),
            Subject::Stream(id.clone()),
            Subject::Results(id.clone()),
        ] {
            prop_assert_eq!(Subject::parse(&subject.to_string()), subject);
        }
    }

    #[test]
    fn any_string_is_a_subject(text in "(mesh|\\$KV|\\$O)?\\.?(agent|mesh-catalog|stream)?\\PC*") {
        prop_assert_eq!(Subject::parse(&text).to_string(), text);
    }

    #[test]
    fn requests_round_trip(
        request_id in proptest::option::of(request_id()),
        stream in any::<bool>(),
        reply_to in proptest::option::of(text()),
        instance_id in proptest::option::of(instance_id()),
        timeout_ms in any::<Option<u64>>(),
        stream_credit in any::<Option<u32>>(),
        stream_batch in any::<bool>(),
        probe in any::<bool>(),
        traceparent in proptest::option::of(text()),
    ) {
        let request = RequestHeaders {
            request_id, stream, reply_to, instance_id, timeout_ms, stream_credit, stream_batch, probe,
            traceparent,
            tracestate: None,
        };
        let mut headers = Headers::default();
        request.write(&mut headers);
        prop_assert_eq!(RequestHeaders::read(&headers).unwrap(), request);
    }

    #[test]
    fn replies_round_trip(
        ok in any::<bool>(),
        source in proptest::option::of(text()),
        request_id in proptest::option::of(request_id()),
        instance_id in proptest::option::of(instance_id()),
        usage in proptest::option::of(usage()),
    ) {
        let status = if ok { Status::Ok } else { Status::Error };
        let reply = ReplyHeaders {
            status,
            source: source.as_deref(),
            request_id: request_id.as_ref().map(RequestId::as_str),
            instance_id: instance_id.as_ref().map(InstanceId::as_str),
            usage,
        };
        let mut headers = Headers::default();
        reply.write(&mut headers);
        prop_assert_eq!(ReplyHeaders::read(&headers).unwrap(), reply);
    }

    #[test]
    fn chunks_round_trip(
        seq in any::<Option<u64>>(),
        count in any::<Option<NonZeroU32>>(),
        end in any::<bool>(),
        failed in any::<bool>(),
        request_id in proptest::option::of(request_id()),
        usage in proptest::option::of(usage()),
    ) {
        let status = failed.then_some(Status::Error);
        let request_id = request_id.as_ref().map(RequestId::as_str);
        let chunk = ChunkHeaders { seq, count, end, status, request_id, instance_id: None, usage };
        let mut headers = Headers::default();
        chunk.write(&mut headers);
        prop_assert_eq!(ChunkHeaders::read(&headers).unwrap(), chunk);
    }

    #[test]
    fn header_name_in_another_case_is_read(seq in any::<u64>(), upper in any::<bool>()) {
        let spell = |name: &str| if upper { name.to_uppercase() } else { name.to_lowercase() };
        let headers: Headers = [
            (spell(header::STREAM_SEQ), seq.to_string()),
            (spell(header::STREAM_END), "true".to_owned()),
        ].into_iter().collect();
        let chunk = ChunkHeaders::read(&headers).unwrap();
        prop_assert_eq!(chunk, ChunkHeaders { seq: Some(seq), end: true, ..ChunkHeaders::default() });
    }

    #[test]
    fn any_header_value_is_read_or_rejected(value in any::<String>()) {
        let headers: Headers = [
            header::REQUEST_ID, header::STREAM, header::STATUS, header::INSTANCE_ID,
            header::STREAM_SEQ, header::STREAM_END, header::STREAM_CREDIT, header::STREAM_COUNT,
            header::STREAM_BATCH, header::USAGE, header::TIMEOUT_MS,
        ].into_iter().map(|name| (name, value.as_str())).collect();
        let _ = RequestHeaders::read(&headers);
        let _ = ReplyHeaders::read(&headers);
        let _ = ChunkHeaders::read(&headers);
    }

    #[test]
    fn any_bytes_are_read_or_rejected(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = CatalogDocument::parse(&bytes).map(|document| document.entries().count());
        let _ = serde_json::from_slice::<Contract>(&bytes);
        let _ = serde_json::from_slice::<ErrorObject>(&bytes);
        let _ = serde_json::from_slice::<DeathNotice>(&bytes);
        let _ = serde_json::from_slice::<LogEvent>(&bytes);
        let _ = serde_json::from_slice::<InstanceRecord>(&bytes);
    }

    #[test]
    fn any_schema_is_a_tool_or_an_error(schema in json(4)) {
        let contract: Contract = serde_json::from_value(serde_json::json!({
            "name": "x", "skills": [{"inputSchema": schema}],
        })).unwrap();
        let Ok(tool) = contract.tool() else {
            return Ok(());
        };
        checked(Form::OpenAiChat, tool.openai(OpenAiApi::Chat));
        checked(Form::OpenAiResponses, tool.openai(OpenAiApi::Responses));
        checked(Form::Anthropic, tool.anthropic());
        checked(Form::Neutral, serde_json::to_value(tool.neutral()).unwrap());
        if let Ok(strict) = tool.openai_strict(OpenAiApi::Chat) {
            checked(Form::OpenAiChatStrict, strict);
        }
        if let Ok(strict) = tool.openai_strict(OpenAiApi::Responses) {
            checked(Form::OpenAiResponsesStrict, strict);
        }
    }
}

/// JSON with keywords of JSON Schema, at most `depth` levels deep.
fn json(depth: u32) -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "object|string|array|null|[a-z]{0,4}".prop_map(Into::into),
    ];
    leaf.prop_recursive(depth, 64, 6, |inner| {
        let keyword = "type|properties|required|items|anyOf|oneOf|\\$defs|enum|additionalProperties|[a-z]{1,3}";
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            proptest::collection::vec((keyword, inner), 0..6)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}
