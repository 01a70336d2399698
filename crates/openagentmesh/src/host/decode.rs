//! Reading a request's envelope.

use async_nats::{Message, Subject};
use openagentmesh_protocol::{HeaderError, RequestHeaders, RequestId};

use crate::wire::Received;

/// A request's envelope, and where its answer goes.
pub(super) struct Request {
    pub(super) id: RequestId,
    /// Whether the caller gave the id; without it there is no stream to end.
    named: bool,
    /// Whether the caller asked for a stream.
    pub(super) stream: bool,
    pub(super) reply: Option<Subject>,
    /// What is wrong with the headers, if anything is.
    pub(super) defect: Option<HeaderError>,
}

impl Request {
    /// Reads the envelope of `message`. Whatever is wrong with it, it can be answered.
    pub(super) fn of(message: &Message) -> Self {
        let source = Received(message.headers.as_ref());
        let (headers, defect) = match RequestHeaders::read(&source) {
            Ok(headers) => (headers, None),
            // The answer still goes to where the caller waits for it.
            Err(defect) => (RequestHeaders::read_destination(&source), Some(defect)),
        };
        Self {
            named: headers.request_id.is_some(),
            id: headers.request_id.unwrap_or_else(RequestId::random),
            stream: headers.stream,
            reply: message.reply.clone(),
            defect,
        }
    }

    /// The id of the stream that waits for an answer, if one does.
    pub(super) fn awaited_stream(&self) -> Option<&RequestId> {
        (self.stream && self.named).then_some(&self.id)
    }
}
