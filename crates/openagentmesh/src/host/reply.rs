//! Sends outputs and errors to callers, and errors to the dead letters.

use async_nats::Subject;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::{Either, ready};
use openagentmesh_protocol::{
    ChunkHeaders, ErrorCode, ErrorObject, ReplyHeaders, RequestId, Status, Usage, Visible, subject,
};
use serde_json::{Value, json};

use super::request::Request;
use super::state::AgentState;
use crate::error::{Error, Result};
use crate::transport::{self, Outgoing, Publishing};
use crate::util::abort::finish_after_abort;

/// Sends `body` to the caller; does nothing for a request without a reply subject.
///
/// # Errors
///
/// `payload_too_large` when the output exceeds the server's limit, `connection_failed` when the connection is
/// closed.
pub(super) async fn output(agent: &AgentState, request: &Request<'_>, body: Bytes) -> Result<()> {
    let Some(reply) = request.reply() else {
        return Ok(());
    };
    let mut headers = Outgoing::default();
    ReplyHeaders {
        status: Status::Ok,
        source: Some(agent.name.as_str()),
        request_id: Some(request.id.as_str()),
        instance_id: Some(agent.session.instance_id.as_str()),
        usage: request.usage(),
    }
    .write(&mut headers);
    publish(agent, request, reply, headers, body).await
}

/// Sends `error` to the caller, unless the request has no reply subject, and a copy to the dead letters.
/// Returns the error as it was sent.
pub(super) async fn error(agent: &AgentState, request: &Request<'_>, error: Error) -> Error {
    let error = error.with_agent(&agent.name).with_request(&request.id);
    log_failure(&error);
    let body = encode(agent, error.to_object());
    if let Some(stream) = request.stream_id() {
        let mut headers = Outgoing::default();
        ChunkHeaders {
            end: true,
            status: Some(Status::Error),
            request_id: Some(request.id.as_str()),
            instance_id: Some(agent.session.instance_id.as_str()),
            usage: request.usage(),
            ..ChunkHeaders::default()
        }
        .write(&mut headers);
        let subject = subject::stream(stream).into();
        send(agent, subject, headers, body.clone()).await;
    } else if let Some(reply) = request.reply() {
        let headers = error_headers(agent, &request.id, request.usage());
        let published = publish(agent, request, reply, headers, body.clone());
        if let Err(error) = published.await {
            not_sent(agent, &error);
        }
    }
    let headers = error_headers(agent, &request.id, request.usage());
    send(agent, agent.errors_subject.clone(), headers, body).await;
    error
}

/// Logs the error of a request. Failures of the agent are for its operator, the others for its callers.
pub(crate) fn log_failure(error: &Error) {
    macro_rules! log {
        ($level:ident) => {
            tracing::$level!(
                agent = error.agent(),
                request_id = error.request_id(),
                code = %Visible(error.code()),
                message = %error,
                "request failed"
            )
        };
    }
    match error.code() {
        ErrorCode::HandlerError => log!(warn),
        ErrorCode::Overloaded | ErrorCode::PayloadTooLarge | ErrorCode::Other(_) => log!(info),
        _ => log!(debug),
    }
}

/// Sends the failure of a publisher or watcher to the dead letters. `run` is the id of the failed run.
pub(super) async fn dead_letter(agent: &AgentState, run: &RequestId, error: Error) {
    let error = error.with_agent(&agent.name).with_request(run);
    let body = encode(agent, error.to_object());
    let headers = error_headers(agent, run, None);
    send(agent, agent.errors_subject.clone(), headers, body).await;
}

/// Reports to the operator that a message could not be sent: there is no caller to report to.
pub(super) fn not_sent(agent: &AgentState, error: &Error) {
    tracing::warn!(agent = %agent.name, %error, "a reply could not be sent");
}

fn error_headers(agent: &AgentState, request_id: &RequestId, usage: Option<Usage>) -> Outgoing {
    let mut headers = Outgoing::default();
    ReplyHeaders {
        status: Status::Error,
        source: None,
        request_id: Some(request_id.as_str()),
        instance_id: Some(agent.session.instance_id.as_str()),
        usage,
    }
    .write(&mut headers);
    headers
}

/// Encodes an error. An error that exceeds the server's limit is shortened, down to its code and the start of
/// its message.
fn encode(agent: &AgentState, object: ErrorObject) -> Bytes {
    /// The size of an error's headers, in bytes, at most.
    const MAX_HEADER_BYTES: usize = 1024;
    let limit = agent.session.connection.max_payload();
    encode_within(limit.saturating_sub(MAX_HEADER_BYTES), object).into()
}

fn encode_within(limit: usize, mut object: ErrorObject) -> String {
    /// The maximum number of characters of a message.
    const MAX_MESSAGE_CHARS: usize = 1000;
    /// The maximum number of problems of an input.
    const MAX_PROBLEMS: usize = 20;

    let body = json_of(&object);
    if body.len() <= limit {
        return body;
    }
    object.message = object
        .message
        .chars()
        .take(MAX_MESSAGE_CHARS)
        .chain("…".chars())
        .collect();
    match object
        .details
        .get_mut("errors")
        .and_then(|errors| errors.as_array_mut())
    {
        Some(errors) => {
            let more = errors.len().saturating_sub(MAX_PROBLEMS);
            errors.truncate(MAX_PROBLEMS);
            let before = object.details.get("omitted").and_then(Value::as_u64);
            let omitted = before.unwrap_or(0) + more as u64;
            object.details.insert("omitted".to_owned(), json!(omitted));
        }
        None => object.details.clear(),
    }
    let body = json_of(&object);
    if body.len() <= limit {
        return body;
    }
    object.details.clear();
    json_of(&object)
}

#[expect(
    clippy::expect_used,
    reason = "the fields are texts and JSON values, and the keys of all objects are texts"
)]
fn json_of(object: &ErrorObject) -> String {
    serde_json::to_string(object).expect("an error object is JSON")
}

/// Publishes the reply to a request, coalesced with the replies to others in flight.
fn publish<'s>(
    agent: &'s AgentState,
    request: &Request<'_>,
    reply: &Subject,
    headers: Outgoing,
    body: Bytes,
) -> impl Future<Output = Result<()>> + use<'s> {
    if request.may_subscribe_late()
        && let Some(reserved) = agent.late_replies.reserve(body.len())
    {
        let fits = agent.publisher().check_size(&headers.0, body.len());
        if fits.is_ok() {
            let subject = reply.clone();
            agent.late_replies.send(reserved, subject, headers.0, body);
        }
        return Either::Left(ready(fits));
    }
    let others = agent.admission.in_flight().saturating_sub(1);
    let publisher = agent.publisher();
    let published = publisher.publish_coalesced(others, reply.clone(), None, headers.0, body);
    Either::Right(within_abort(agent, published))
}

/// Limits the wait for room after an abort of the agent: on a lost connection there may be none until the server
/// returns, and the task keeps the client alive.
pub(super) fn within_abort<'s>(
    agent: &'s AgentState,
    publishing: Publishing<'s>,
) -> Publishing<'s> {
    let waiting = match publishing {
        Either::Left(done) => return Either::Left(done),
        Either::Right(waiting) => finish_after_abort(&agent.abort, waiting),
    };
    let timed_out = || {
        Err(transport::closed(
            "the agent was aborted before there was room for a message",
        ))
    };
    Either::Right(
        waiting
            .map(move |sent| sent.unwrap_or_else(timed_out))
            .boxed(),
    )
}

/// Publishes an error. It is coalesced as the replies are: a direct message would hand over those that wait in the queue.
async fn send(agent: &AgentState, subject: Subject, headers: Outgoing, body: Bytes) {
    let others = agent.admission.in_flight().saturating_sub(1);
    let publisher = agent.publisher();
    let published = publisher.publish_coalesced(others, subject, None, headers.0, body);
    if let Err(error) = within_abort(agent, published).await {
        not_sent(agent, &error);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use openagentmesh_protocol::ErrorCode;
    use serde_json::Value;

    use super::*;

    /// An error with so many characters and problems.
    fn error(message: usize, problems: usize) -> ErrorObject {
        Error::raised(ErrorCode::InvalidInput, "x".repeat(message))
            .with_detail("errors", vec![json!({"location": "/some/where"}); problems])
            .to_object()
    }

    fn encoded(limit: usize, object: ErrorObject) -> Value {
        let text = encode_within(limit, object);
        assert!(text.len() <= limit);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn error_within_the_limit_is_encoded_whole() {
        let object = encoded(10_000, error(1000, 100));
        assert_eq!(object["details"]["errors"].as_array().unwrap().len(), 100);
        assert_eq!(object["message"].as_str().unwrap().len(), 1000);
    }

    #[test]
    fn error_beyond_the_limit_keeps_the_first_problems_and_counts_the_others() {
        let object = encoded(4000, error(2000, 1000));
        assert_eq!(object["details"]["errors"].as_array().unwrap().len(), 20);
        assert_eq!(object["details"]["omitted"], 980);
        assert_eq!(object["message"].as_str().unwrap().chars().count(), 1001);
    }

    #[test]
    fn error_with_large_problems_keeps_its_code_only() {
        let mut large = error(10, 1);
        large.details["errors"][0]["message"] = json!("y".repeat(5000));
        let object = encoded(1000, large);
        assert_eq!(object["code"], "invalid_input");
        assert_eq!(object["details"], json!({}));
    }
}
