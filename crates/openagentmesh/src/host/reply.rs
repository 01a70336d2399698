//! Answering: the output or the error, to whoever waits for it.

use std::sync::atomic::Ordering;

use async_nats::Subject;
use bytes::Bytes;
use futures::future::{Either, ready};
use openagentmesh_protocol::{
    AgentName, ChunkHeaders, ErrorCode, ErrorObject, HeaderSink, InstanceId, ReplyHeaders,
    RequestId, Status, header, subject,
};
use serde_json::{Value, json};

use super::request::Request;
use super::service::AgentState;
use crate::error::Error;
use crate::transport::Publishing;
use crate::transport::{self, Outgoing, Template};

/// The headers of an agent's outputs; each has its own request's id.
pub(super) fn template(agent: &AgentName, instance: &InstanceId) -> Template {
    let headers = ReplyHeaders {
        status: Status::Ok,
        source: Some(agent.as_str()),
        request_id: Some("-"),
        instance_id: Some(instance.as_str()),
        usage: None,
    };
    Template::new(|template| headers.write(template))
}

/// Sends `body` to the caller, if it waits for one.
pub(super) async fn output(served: &AgentState, request: &Request<'_>, body: Bytes) {
    let Some(reply) = request.reply() else { return };
    let mut headers = served.reply_headers.copy();
    headers.put(header::REQUEST_ID, request.id.as_str());
    match answer(served, request, reply, headers, body).await {
        Ok(()) => {}
        Err(too_large) if *too_large.code() == ErrorCode::PayloadTooLarge => {
            Box::pin(error(served, request, too_large)).await;
        }
        Err(error) => not_sent(&served.name, &error),
    }
}

/// Sends `failure` to the caller, if it waits for an answer, and a copy to the dead letters.
pub(super) async fn error(served: &AgentState, request: &Request<'_>, failure: Error) {
    let object = failure
        .with_agent(&served.name)
        .with_request(&request.id)
        .to_object();
    tracing::debug!(agent = %served.name, request_id = %request.id, code = %object.code,
        message = object.message, "request failed");
    let body = encode(served, object);
    if let Some(stream) = request.awaited_stream() {
        let mut headers = Outgoing::default();
        ChunkHeaders {
            end: true,
            status: Some(Status::Error),
            request_id: Some(request.id.as_str()),
            instance_id: Some(served.session.instance_id.as_str()),
            ..ChunkHeaders::default()
        }
        .write(&mut headers);
        let subject = subject::stream(stream).into();
        send(served, subject, headers, body.clone()).await;
    } else if let Some(reply) = request.reply() {
        let headers = error_headers(served, &request.id);
        let sent = answer(served, request, reply, headers, body.clone());
        if let Err(error) = sent.await {
            not_sent(&served.name, &error);
        }
    }
    let headers = error_headers(served, &request.id);
    send(served, served.errors_subject.clone(), headers, body).await;
}

/// Tells the dead letters of a failure that is no request's: a publisher's or a watcher's.
pub(super) async fn dead_letter(served: &AgentState, run: &RequestId, failure: Error) {
    let object = failure
        .with_agent(&served.name)
        .with_request(run)
        .to_object();
    let body = encode(served, object);
    let headers = error_headers(served, run);
    send(served, served.errors_subject.clone(), headers, body).await;
}

fn error_headers(served: &AgentState, request_id: &RequestId) -> Outgoing {
    let mut headers = Outgoing::default();
    ReplyHeaders {
        status: Status::Error,
        source: None,
        request_id: Some(request_id.as_str()),
        instance_id: Some(served.session.instance_id.as_str()),
        usage: None,
    }
    .write(&mut headers);
    headers
}

/// An error tells at least its code, however much its handler had to say.
fn encode(served: &AgentState, mut object: ErrorObject) -> Bytes {
    /// What the headers of an error take at most, in bytes.
    const HEADERS: usize = 1024;
    /// What is kept of an overlong message, in characters.
    const MESSAGE: usize = 1000;
    /// How many of very many problems are kept.
    const PROBLEMS: usize = 20;

    let limit = served
        .session
        .connection
        .client
        .max_payload()
        .saturating_sub(HEADERS);
    let body = json!(object).to_string();
    if body.len() <= limit {
        return body.into();
    }
    object.message = object
        .message
        .chars()
        .take(MESSAGE)
        .chain("…".chars())
        .collect();
    match object
        .details
        .get_mut("errors")
        .and_then(|errors| errors.as_array_mut())
    {
        Some(errors) => {
            let more = errors.len().saturating_sub(PROBLEMS);
            errors.truncate(PROBLEMS);
            let before = object.details.get("omitted").and_then(Value::as_u64);
            let omitted = before.unwrap_or(0) + more as u64;
            object.details.insert("omitted".to_owned(), json!(omitted));
        }
        None => object.details.clear(),
    }
    let body = json!(object).to_string();
    if body.len() <= limit {
        return body.into();
    }
    object.details.clear();
    json!(object).to_string().into()
}

/// Sends what a caller waits for, together with what others are sent at this moment.
fn answer<'s>(
    served: &'s AgentState,
    request: &Request<'_>,
    reply: &Subject,
    headers: Outgoing,
    body: Bytes,
) -> Publishing<'s> {
    if request.may_subscribe_late()
        && let Some(space) = served.late.space_for(body.len())
    {
        let fits = transport::check_size(&served.session.connection.client, &headers.0, body.len());
        if fits.is_ok() {
            served.late.send(space, reply.clone(), headers.0, body);
        }
        return Either::Left(ready(fits));
    }
    let others = served.admitted.load(Ordering::Relaxed).saturating_sub(1);
    let publisher = served.publisher();
    publisher.publish_among(others, reply.clone(), None, headers.0, body)
}

async fn send(served: &AgentState, subject: Subject, headers: Outgoing, body: Bytes) {
    let sent = served.publisher().publish(subject, None, headers.0, body);
    if let Err(error) = sent.await {
        not_sent(&served.name, &error);
    }
}

/// A reply that cannot be sent has nobody to be reported to but the operator.
pub(super) fn not_sent(agent: &AgentName, error: &Error) {
    tracing::warn!(%agent, %error, "a reply could not be sent");
}
