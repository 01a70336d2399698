//! Messages that are read directly: a server of the stream answers with the message itself, in place of JSON.

use async_nats::header::{NATS_SEQUENCE, NATS_SUBJECT, NATS_TIME_STAMP};
use async_nats::{Client, HeaderMap, HeaderName, Message, Request, StatusCode};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::stored_message::StoredMessage;
use crate::error::BoxError;

/// The subject of a request for the last message of `subject` in stream `stream`. A permission can name it.
pub(super) fn last_subject(stream: &str, subject: &str) -> String {
    format!("$JS.API.DIRECT.GET.{stream}.{subject}")
}

/// Reads the last message of a subject, where `request` is its [`last_subject`]; `None` if there is none.
///
/// # Errors
///
/// The failure of the request, or an answer that is not a message.
pub(super) async fn last(
    client: &Client,
    request: String,
) -> Result<Option<StoredMessage>, BoxError> {
    let empty = Request::new().payload("".into()).timeout(None);
    let answer = client.send_request(request, empty).await?;
    stored(answer)
}

/// The message in an answer; `None` if the server has none.
fn stored(mut answer: Message) -> Result<Option<StoredMessage>, BoxError> {
    match answer.status {
        None => {}
        Some(StatusCode::NOT_FOUND) => return Ok(None),
        Some(status) => {
            let description = answer.description.unwrap_or_default();
            return Err(format!("the server answered {status} {description}").into());
        }
    }
    let malformed = || "malformed answer: it does not say which message it is";
    let headers = answer.headers.as_ref().ok_or_else(malformed)?;
    let subject = header(headers, NATS_SUBJECT).ok_or_else(malformed)?;
    let sequence = header(headers, NATS_SEQUENCE).ok_or_else(malformed)?;
    let published = header(headers, NATS_TIME_STAMP).ok_or_else(malformed)?;
    let (sequence, published) = (
        sequence.parse()?,
        OffsetDateTime::parse(published, &Rfc3339)?,
    );
    answer.subject = subject.into();
    Ok(Some(StoredMessage::received(answer, sequence, published)))
}

/// The last value: the server appends its own after those of the stored message.
fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let value = headers.get_last(name)?;
    Some(value.as_str())
}
