//! Checks the streams of a streamer.

use async_nats::Message;
use bytes::Bytes;
use openagentmesh_protocol::header;
use serde_json::Value;

use super::exchange::{Ask, Host, Observed, is_error};
use super::input::Input;
use super::replies::{instance_id, misspelled, shown};
use super::stalled;
use super::target::Target;
use super::traffic::NO_INPUT;
use crate::error::Error;
use crate::rules::{calls, cancellation, streams as rules};
use crate::schema;
use crate::wire::header as header_of;

/// The rules that need a valid request for a stream.
const VALID: &[crate::rule::Rule] = &[
    rules::CHUNKS,
    rules::SEQUENCE,
    rules::END_FLAG,
    rules::CHUNK_ID,
    rules::CHUNK_BODY,
    rules::END_MARKER,
    rules::SILENT,
    rules::STREAM_INSTANCE,
    rules::REPLY_SUBJECT,
    rules::CREDIT,
    rules::CANCEL,
    rules::NO_INTEREST,
];

/// Checks streams. Returns the id of the instance that sent the chunks.
pub(super) async fn check(
    host: Host<'_>,
    target: &Target,
    input: &Input,
) -> Result<Option<String>, Error> {
    let verdicts = host.verdicts;
    let Some(body) = &input.body else {
        verdicts.skip_all(VALID, NO_INPUT);
        return Ok(None);
    };
    let base = host.exchange(Ask::call(host.name, body).stream()).await?;
    if base.error().is_some() && !input.is_given && base.chunks.len() <= 1 {
        let answer = base.describe();
        let reason =
            format!("the generated input got {answer}; give a valid one with --input JSON");
        verdicts.skip_all(VALID, reason.as_str());
        return Ok(None);
    }
    let reason = format!(
        "no chunk arrived on mesh.stream.{}: the request got {}",
        base.id,
        base.describe()
    );
    verdicts.require(rules::CHUNKS, Host::is_served(&base), reason);
    if !Host::is_served(&base) {
        verdicts.skip_all(VALID, "a valid request got no chunk");
        return Ok(None);
    }
    judge_chunks(host, &base, target.chunk_schema());
    host.check_headers(body, true).await?;
    check_empty(host, target.input_schema()).await?;
    let chunks: Vec<&Message> = data(&base).collect();
    if chunks.iter().all(|chunk| chunk.reply.is_some()) {
        stalled::check(host, body, chunks.len()).await?;
    } else {
        let reason = "chunks have no reply subject";
        verdicts.skip_all(&[rules::CREDIT, rules::CANCEL, rules::NO_INTEREST], reason);
        verdicts.skip_all(&cancellation::TABLE[1..], reason);
    }
    stalled::check_passed_deadline(host, body, true).await?;
    let first = chunks.first().copied();
    Ok(first
        .and_then(|chunk| header_of(chunk, header::INSTANCE_ID))
        .map(str::to_owned))
}

/// The chunks until the end of the stream.
fn data(observed: &Observed) -> impl Iterator<Item = &Message> {
    observed.chunks.iter().take_while(|chunk| !is_end(chunk))
}

fn is_end(chunk: &Message) -> bool {
    header_of(chunk, header::STREAM_END) == Some("true") || is_error(chunk)
}

fn judge_chunks(host: Host<'_>, observed: &Observed, schema: Option<&Value>) {
    let verdicts = host.verdicts;
    let chunks: Vec<&Message> = data(observed).collect();
    if let Some(name) = observed.chunks.iter().find_map(misspelled) {
        return verdicts.fail(
            calls::SPELLING,
            format!("misspelled header: '{name}' of a chunk"),
        );
    }
    verdicts.pass(calls::SPELLING);
    for (index, chunk) in chunks.iter().enumerate() {
        let expect = |name, expected: &str| {
            host.expect_header(chunk, name, expected)
                .map_err(|error| format!("chunk {index}: {error}"))
        };
        verdicts.judge(
            rules::SEQUENCE,
            expect(header::STREAM_SEQ, &index.to_string()),
        );
        verdicts.judge(rules::END_FLAG, expect(header::STREAM_END, "false"));
        verdicts.judge(rules::CHUNK_ID, expect(header::REQUEST_ID, &observed.id));
        verdicts.judge(rules::STREAM_INSTANCE, instance_id(chunk));
        let missing = format!("missing reply subject: chunk {index} has none");
        verdicts.require(rules::REPLY_SUBJECT, chunk.reply.is_some(), missing);
        verdicts.judge(
            rules::CHUNK_BODY,
            body_problem(chunk, schema).map_or(Ok(()), Err),
        );
    }
    let Some(end) = observed.end() else {
        let answer = format!("no end marker: {} chunks arrived without one", chunks.len());
        verdicts.skip(rules::SILENT, &answer);
        return match chunks.len() >= super::exchange::MAX_CHUNKS {
            true => verdicts.skip(
                rules::END_MARKER,
                "the stream does not end; give an input whose stream does, with --input JSON",
            ),
            false => verdicts.fail(rules::END_MARKER, answer),
        };
    };
    if is_error(end) {
        return host.judge_error(observed);
    }
    let after = observed.chunks.len() - chunks.len() - 1;
    verdicts.require(
        rules::SILENT,
        after == 0,
        format!("messages after the end: {after} arrived"),
    );
    let seq = header_of(end, header::STREAM_SEQ);
    let verdict = match end.payload.is_empty() {
        true if seq == Some(&chunks.len().to_string()) => Ok(()),
        true => Err(format!(
            "wrong number: expected '{}', got {}",
            chunks.len(),
            shown(seq)
        )),
        false => Err("unexpected body: the end marker has one".to_owned()),
    };
    verdicts.judge(rules::END_MARKER, verdict);
}

/// The problem of the body of a chunk or an event.
pub(super) fn body_problem(chunk: &Message, schema: Option<&Value>) -> Option<String> {
    match serde_json::from_slice::<Value>(&chunk.payload) {
        Err(error) => Some(format!("invalid JSON: {error}")),
        Ok(value) => {
            let violation = schema::violation(schema?, &value)?;
            Some(format!("invalid chunk: {violation}"))
        }
    }
}

async fn check_empty(host: Host<'_>, schema: Option<&Value>) -> Result<(), Error> {
    let Some(schema) = schema else {
        host.verdicts.pass(calls::EMPTY);
        return Ok(());
    };
    if schema::violation(schema, &Value::Null).is_none() {
        host.verdicts.skip(calls::EMPTY, "the schema accepts null");
        return Ok(());
    }
    let observed = host
        .exchange(Ask::call(host.name, &Bytes::new()).stream())
        .await?;
    let reason = format!(
        "no input was accepted: an empty body got {}",
        observed.describe()
    );
    host.verdicts
        .require(calls::EMPTY, observed.error().is_some(), reason);
    Ok(())
}
