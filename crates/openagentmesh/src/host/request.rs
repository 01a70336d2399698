//! A request: its envelope, where its answer goes, and the progress of its work.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use async_nats::{Message, Subject};
use bytes::Bytes;
use openagentmesh_protocol::{
    HeaderError, RequestHeaders, RequestId, Subject as Address, Usage, Verb, Visible, subject,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::state::AgentState;
use crate::agent::{Context, ContextInner, ReportedUsage};
use crate::client::Client;
use crate::telemetry::Exchange;
use crate::transport::{self, Received};

/// A request in the hands of the host.
pub(super) struct Request<'m> {
    message: &'m Message,
    /// Whether the host may publish to the reply subject.
    may_reply: bool,
    /// The id from the headers, or a random one.
    pub(super) id: RequestId,
    pub(super) headers: RequestHeaders,
    /// The time at which the request arrived at this host.
    pub(super) received: Instant,
    /// The time at which the caller stops waiting, if the headers say so, or the agent's timeout ends.
    pub(super) deadline: Option<Instant>,
    /// The timeout of the agent, if it ends the request before its caller does.
    pub(super) timeout: Option<Duration>,
    /// The first invalid header, if any is invalid.
    pub(super) invalid_header: Option<HeaderError>,
    /// The interceptors' view of the request, once they have run; `None` where there are no interceptors.
    pub(super) intercepted: Option<Box<Intercepted>>,
    /// The number of chunks that were sent; written by the stream, read by its end marker and by interceptors.
    pub(super) chunks: AtomicU64,
    /// The token of the handler's context, made on demand; fired when the request is cancelled.
    cancelled: OnceLock<CancellationToken>,
    /// The usage that the handler reports, made with its context.
    usage: OnceLock<ReportedUsage>,
}

/// A request that interceptors have seen.
pub(super) struct Intercepted {
    pub(super) exchange: Exchange,
    /// The number of interceptors that ran `before`; the same ones run `after`.
    pub(super) started: usize,
}

impl<'m> Request<'m> {
    /// Reads the envelope of `message`. A message with invalid headers can be answered, too.
    pub(super) fn read(message: &'m Message, received: Instant) -> Self {
        let source = Received(message.headers.as_ref());
        let (headers, invalid_header) = match RequestHeaders::read(&source) {
            Ok(headers) => (headers, None),
            Err(error) => (RequestHeaders::read_destination(&source), Some(error)),
        };
        Self {
            id: headers.request_id.clone().unwrap_or_else(RequestId::random),
            received,
            deadline: headers
                .timeout_ms
                .and_then(|timeout| received.checked_add(Duration::from_millis(timeout))),
            timeout: None,
            may_reply: message
                .reply
                .as_ref()
                .is_none_or(|reply| subject::may_reply_to(reply)),
            message,
            headers,
            invalid_header,
            intercepted: None,
            chunks: AtomicU64::new(0),
            cancelled: OnceLock::new(),
            usage: OnceLock::new(),
        }
    }

    /// Moves the deadline of a request that starts to run to at most `timeout` from now.
    pub(super) fn limit_run(&mut self, timeout: Option<Duration>) {
        let Some(timeout) = timeout else { return };
        // A timeout beyond the range of the clock is no limit.
        let Some(end) = Instant::now().checked_add(timeout) else {
            return;
        };
        if self.deadline.is_none_or(|deadline| end < deadline) {
            self.deadline = Some(end);
            self.timeout = Some(timeout);
        }
    }

    pub(super) fn body(&self) -> &'m [u8] {
        &self.message.payload
    }

    /// The body, for another thread.
    pub(super) fn shared_body(&self) -> Bytes {
        self.message.payload.clone()
    }

    /// The subject of the reply, unless it is [refused](Self::refused_reply).
    pub(super) fn reply(&self) -> Option<&'m Subject> {
        self.message.reply.as_ref().filter(|_| self.may_reply)
    }

    /// The subject of the reply, if the host must not publish to it.
    pub(super) fn refused_reply(&self) -> Option<&'m Subject> {
        self.message.reply.as_ref().filter(|_| !self.may_reply)
    }

    /// The verb of the request. A `send` looks the same as a `call`.
    pub(super) fn verb(&self) -> Verb {
        if self.headers.stream {
            Verb::Stream
        } else {
            Verb::Call
        }
    }

    /// The id of the stream that the caller reads; `None` for a call, and where the caller gave no id.
    pub(super) fn stream_id(&self) -> Option<&RequestId> {
        self.headers
            .request_id
            .as_ref()
            .filter(|_| self.headers.stream)
    }

    /// Whether the caller may subscribe to the reply only after the request, as published SDKs do up to
    /// 0.2.0. Callers that answer probes subscribe before.
    pub(super) fn may_subscribe_late(&self) -> bool {
        let goes_to_results =
            |reply: &Subject| matches!(Address::parse(reply), Address::Results(_));
        !self.headers.probe && self.reply().is_some_and(goes_to_results)
    }

    /// The request as interceptors see it.
    pub(super) fn exchange(&self, agent: &AgentState) -> Exchange {
        Exchange::new(
            agent.name.clone(),
            self.verb(),
            self.id.clone(),
            transport::plain_headers(self.message.headers.as_ref()),
        )
    }

    /// The span that the handler runs in: the one that an interceptor set, else one with the agent and the
    /// request id.
    pub(super) fn span(&self, agent: &AgentState) -> Span {
        let intercepted = self.intercepted.as_ref();
        let span = intercepted.and_then(|intercepted| intercepted.exchange.span());
        span.cloned().unwrap_or_else(
            || tracing::info_span!("request", agent = %agent.name, request_id = %Visible(&self.id)),
        )
    }

    /// The context for the handler. The headers are those that interceptors left.
    pub(super) fn context(&self, agent: &AgentState) -> Context {
        let headers = match &self.intercepted {
            Some(intercepted) => intercepted.exchange.headers().clone(),
            None => transport::plain_headers(self.message.headers.as_ref()),
        };
        Context::of(ContextInner {
            agent: Some(agent.name.clone()),
            request_id: self.id.clone(),
            headers,
            caller: self.headers.instance_id.clone(),
            cancelled: self.cancelled.get_or_init(CancellationToken::new).clone(),
            usage: self.usage.get_or_init(ReportedUsage::default).clone(),
            mesh: Client::new(agent.session.clone(), self.deadline),
        })
    }

    /// The usage that the handler has reported.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.usage.get()?.get()
    }

    /// Fires the token of the handler's context.
    pub(super) fn cancel(&self) {
        if let Some(cancelled) = self.cancelled.get() {
            cancelled.cancel();
        }
    }
}
