//! Answering: the output or the error, to whoever waits for it.

use async_nats::Subject;
use bytes::Bytes;
use openagentmesh_protocol::{ChunkHeaders, ErrorObject, ReplyHeaders, RequestId, Status, subject};
use serde_json::json;

use super::decode::Request;
use super::service::Served;
use crate::error::Error;
use crate::wire::{self, Outgoing};

/// Sends `body` to the caller, if it waits for one.
pub(super) async fn output(served: &Served, request: &Request<'_>, body: Bytes) {
    let Some(reply) = request.reply() else { return };
    let mut headers = Outgoing::default();
    ReplyHeaders {
        status: Status::Ok,
        source: Some(served.name.as_str()),
        request_id: Some(request.id.clone()),
        instance_id: Some(served.core.instance_id.clone()),
        usage: None,
    }
    .write(&mut headers);
    let size = body.len();
    match wire::check_size(served.client(), &headers.0, size) {
        Ok(()) => send(served, reply.clone(), headers, body).await,
        Err(too_large) => error(served, request, too_large).await,
    }
}

/// Sends `failure` to the caller, if it waits for an answer, and a copy to the dead letters.
pub(super) async fn error(served: &Served, request: &Request<'_>, failure: Error) {
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
            request_id: Some(request.id.clone()),
            instance_id: Some(served.core.instance_id.clone()),
            ..ChunkHeaders::default()
        }
        .write(&mut headers);
        let subject = subject::stream(stream).into();
        send(served, subject, headers, body.clone()).await;
    } else if let Some(reply) = request.reply() {
        let headers = error_headers(served, &request.id);
        send(served, reply.clone(), headers, body.clone()).await;
    }
    let headers = error_headers(served, &request.id);
    send(served, served.errors_subject.clone(), headers, body).await;
}

/// Tells the dead letters of a failure that is no request's: a publisher's or a watcher's.
pub(super) async fn dead_letter(served: &Served, run: &RequestId, failure: Error) {
    let object = failure
        .with_agent(&served.name)
        .with_request(run)
        .to_object();
    let body = encode(served, object);
    let headers = error_headers(served, run);
    send(served, served.errors_subject.clone(), headers, body).await;
}

fn error_headers(served: &Served, request_id: &RequestId) -> Outgoing {
    let mut headers = Outgoing::default();
    ReplyHeaders {
        status: Status::Error,
        source: None,
        request_id: Some(request_id.clone()),
        instance_id: Some(served.core.instance_id.clone()),
        usage: None,
    }
    .write(&mut headers);
    headers
}

/// An error tells at least its code, however much its handler had to say.
fn encode(served: &Served, mut object: ErrorObject) -> Bytes {
    /// What the headers of an error take at most, in bytes.
    const HEADERS: usize = 1024;
    /// What is kept of an overlong message, in characters.
    const MESSAGE: usize = 1000;
    /// How many of very many problems are kept.
    const PROBLEMS: usize = 20;

    let limit = served.client().max_payload().saturating_sub(HEADERS);
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
            let omitted = errors.len().saturating_sub(PROBLEMS);
            errors.truncate(PROBLEMS);
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

/// A reply that cannot be sent has nobody to be reported to but the operator.
async fn send(served: &Served, subject: Subject, headers: Outgoing, body: Bytes) {
    if let Err(error) = wire::publish(served.client(), subject, None, headers.0, body).await {
        tracing::warn!(agent = %served.name, %error, "a reply could not be sent");
    }
}
