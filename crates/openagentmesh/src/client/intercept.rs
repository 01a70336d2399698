//! The client interceptors around one request.

use async_nats::HeaderMap;
use openagentmesh_protocol::{AgentName, RequestId, Verb};
use tokio::time::Instant;
use tracing::Span;

use super::extra_headers::from_interceptors;
use crate::error::Result;
use crate::telemetry::{CancelReason, Completion, Exchange, Interceptors, Outcome};
use crate::transport::plain_headers;

/// The interceptors that have run `before` a request. Their `after` runs once: by [`finish`](Self::finish),
/// or with [`Outcome::Cancelled`] when this is dropped earlier. Empty, and free, without interceptors.
#[derive(Default)]
pub(super) struct Interception(Option<Box<Running>>);

struct Running {
    interceptors: Interceptors,
    /// The number of interceptors that have run `before`.
    started: usize,
    exchange: Exchange,
    /// The time at which the request was awaited.
    awaited: Instant,
    chunks: u64,
}

impl Interception {
    /// Runs `before` of `interceptors`, which may change `headers`.
    ///
    /// # Errors
    ///
    /// The error of an interceptor that refuses the request; `invalid_input` when one has set an invalid
    /// header; `handler_error` when one panicked.
    pub(super) fn start(
        interceptors: &Interceptors,
        agent: &AgentName,
        verb: Verb,
        id: &RequestId,
        headers: &mut HeaderMap,
    ) -> Result<Self> {
        if interceptors.is_empty() {
            return Ok(Self(None));
        }
        let plain = plain_headers(Some(headers));
        let mut exchange = Exchange::new(agent.clone(), verb, id.clone(), plain);
        let awaited = Instant::now();
        let (started, accepted) = interceptors.before(&mut exchange);
        let checked = accepted.and_then(|()| from_interceptors(exchange.headers()));
        let mut interception = Self(Some(Box::new(Running {
            interceptors: interceptors.clone(),
            started,
            exchange,
            awaited,
            chunks: 0,
        })));
        match checked {
            Ok(checked) => {
                *headers = checked;
                Ok(interception)
            }
            Err(error) => interception.finish(Err(error.with_agent(agent).with_request(id))),
        }
    }

    /// The span that an interceptor has set for the sending of the request.
    pub(super) fn span(&self) -> Option<&Span> {
        self.0.as_ref()?.exchange.span()
    }

    pub(super) fn count_chunk(&mut self) {
        if let Some(running) = &mut self.0 {
            running.chunks += 1;
        }
    }

    /// Runs `after` with the result of the request. Later calls do nothing.
    ///
    /// # Errors
    ///
    /// Those of `result`, and `handler_error` when `after` of an interceptor panicked.
    pub(super) fn finish<T>(&mut self, result: Result<T>) -> Result<T> {
        match self.0.take() {
            Some(running) => running.finish(result),
            None => result,
        }
    }
}

impl Drop for Interception {
    fn drop(&mut self) {
        if let Some(running) = self.0.take() {
            let outcome = Outcome::Cancelled(CancelReason::CallerDisconnected);
            if let Err(error) = running.after(&outcome) {
                tracing::warn!(agent = %running.exchange.agent(), %error, "interceptor failed");
            }
        }
    }
}

impl Running {
    fn finish<T>(&self, result: Result<T>) -> Result<T> {
        let value = match result {
            Ok(value) => value,
            Err(error) => {
                let outcome = Outcome::Failed(error);
                if let Err(error) = self.after(&outcome) {
                    tracing::warn!(agent = %self.exchange.agent(), %error, "interceptor failed");
                }
                let Outcome::Failed(error) = outcome else {
                    unreachable!("the outcome is the one above");
                };
                return Err(error);
            }
        };
        match self.after(&Outcome::Replied) {
            Ok(()) => Ok(value),
            Err(error) => {
                let exchange = &self.exchange;
                let error = error.with_agent(exchange.agent());
                Err(error.with_request(exchange.request_id()))
            }
        }
    }

    fn after(&self, outcome: &Outcome) -> Result<()> {
        let completion = Completion {
            outcome,
            duration: self.awaited.elapsed(),
            queued: std::time::Duration::ZERO,
            chunks: self.chunks,
        };
        self.interceptors
            .after(self.started, &self.exchange, &completion)
    }
}
