//! Reading a request's envelope.

use std::sync::OnceLock;
use std::time::Duration;

use async_nats::{Message, Subject};
use openagentmesh_protocol::{HeaderError, RequestHeaders, RequestId, Subject as Address};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::service::AgentState;
use crate::agent::{Context, ContextInner};
use crate::client::Client;
use crate::transport::{self, Received};

/// A request's envelope, and where its answer goes.
pub(super) struct Request<'m> {
    message: &'m Message,
    pub(super) id: RequestId,
    pub(super) headers: RequestHeaders,
    /// When its caller stops waiting.
    pub(super) deadline: Option<Instant>,
    /// What is wrong with the headers, if anything is.
    pub(super) defect: Option<HeaderError>,
    /// Made when the handler asks for it.
    cancelled: OnceLock<CancellationToken>,
}

impl<'m> Request<'m> {
    /// Reads the envelope of `message`. Whatever is wrong with it, it can be answered.
    pub(super) fn of(message: &'m Message, received: Instant) -> Self {
        let source = Received(message.headers.as_ref());
        let (headers, defect) = match RequestHeaders::read(&source) {
            Ok(headers) => (headers, None),
            // The answer still goes to where the caller waits for it.
            Err(defect) => (RequestHeaders::read_destination(&source), Some(defect)),
        };
        Self {
            id: headers.request_id.clone().unwrap_or_else(RequestId::random),
            deadline: headers
                .timeout_ms
                .and_then(|timeout| received.checked_add(Duration::from_millis(timeout))),
            message,
            headers,
            defect,
            cancelled: OnceLock::new(),
        }
    }

    pub(super) fn body(&self) -> &'m [u8] {
        &self.message.payload
    }

    pub(super) fn reply(&self) -> Option<&'m Subject> {
        self.message.reply.as_ref()
    }

    /// The id of the stream that waits for an answer, if one does. Without an id from the caller
    /// there is none to wait.
    pub(super) fn awaited_stream(&self) -> Option<&RequestId> {
        self.headers
            .request_id
            .as_ref()
            .filter(|_| self.headers.stream)
    }

    /// Whether its caller may subscribe to the reply only after it has asked, as published SDKs do up to
    /// 0.2.0. Whoever answers probes subscribes before.
    pub(super) fn may_subscribe_late(&self) -> bool {
        let goes_to_results =
            |reply: &Subject| matches!(Address::parse(reply), Address::Results(_));
        !self.headers.probe && self.reply().is_some_and(goes_to_results)
    }

    /// What the handler can know of the request.
    pub(super) fn context(&self, served: &AgentState) -> Context {
        Context::of(ContextInner {
            agent: Some(served.name.clone()),
            request_id: self.id.clone(),
            headers: transport::plain_headers(self.message.headers.as_ref()),
            caller: self.headers.instance_id.clone(),
            cancelled: self.cancelled.get_or_init(CancellationToken::new).clone(),
            mesh: Client::new(served.session.clone(), self.deadline),
        })
    }

    /// Tells whoever works for the request that nobody waits for it any more.
    pub(super) fn cancel(&self) {
        if let Some(cancelled) = self.cancelled.get() {
            cancelled.cancel();
        }
    }
}
