//! Agents that answer requests in this process as their host would.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};
use openagentmesh_protocol::{AgentName, ErrorCode};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{Instrument, Span};

use crate::agent::{
    Agent, Chunks, Context, ContextInner, DecodeError, HandlerFn, Invocation, ReportedUsage,
};
use crate::catalog::{Contract, similar};
use crate::client::{Client, mismatch};
use crate::error::{Error, Result};
use crate::host::{
    check_restrictions, explain, handler_failed, handler_panicked, log_failure, run_timed_out,
};
use crate::session::{Answers, LocalRequest, Session};

/// The agents of one detached context, by name.
#[derive(Default)]
pub(super) struct LocalAgents(BTreeMap<String, Agent>);

impl LocalAgents {
    /// Of two agents with one name, the later answers.
    pub(super) fn new(agents: Vec<Agent>) -> Self {
        let named = |agent: Agent| (agent.name().to_owned(), agent);
        Self(agents.into_iter().map(named).collect())
    }

    fn find(&self, request: &LocalRequest) -> Result<&Agent> {
        let about = |error: Error| error.with_agent(&request.agent).with_request(&request.id);
        let Some(agent) = self.0.get(request.agent.as_str()) else {
            return Err(about(self.not_found(&request.agent)));
        };
        agent.check().map_err(about)?;
        match mismatch(&request.agent, agent.shape().capabilities(), request.verb) {
            Some(mismatch) => Err(about(mismatch)),
            None => Ok(agent),
        }
    }
}

impl Answers for LocalAgents {
    fn contracts(&self) -> Vec<Contract> {
        let valid = self.0.values().filter(|agent| agent.check().is_ok());
        valid.filter_map(|agent| agent.contract().ok()).collect()
    }

    fn not_found(&self, name: &AgentName) -> Error {
        let problem = format!(
            "agent '{name}' not found: this context is detached and has no such agent; add it with \
             `.answer(agent)`"
        );
        let similar = similar(name, self.0.keys().map(String::as_str));
        if similar.is_empty() {
            return Error::raised(ErrorCode::NotFound, problem);
        }
        let names = similar.join("', '");
        Error::raised(
            ErrorCode::NotFound,
            format!("{problem}; similar names: '{names}'"),
        )
        .with_detail("similar", similar)
    }

    fn reply(
        &self,
        session: &Arc<Session>,
        request: LocalRequest,
    ) -> Result<BoxFuture<'static, Result<Bytes>>> {
        let agent = self.find(&request)?;
        let HandlerFn::Unary(function) = agent.function() else {
            return Err(wrong_shape(&request));
        };
        let run = Run::new(agent, session, request);
        let reply = async move {
            let running = run.start(&*function)?;
            let guard = run.cancel_on_drop();
            let running = AssertUnwindSafe(running.instrument(run.span())).catch_unwind();
            let output = run.within_timeout(running).await?;
            guard.disarm();
            match output {
                Ok(Ok(body)) => Ok(body),
                Ok(Err(error)) => Err(run.failed(handler_failed(error))),
                Err(panic) => Err(run.failed(handler_panicked(&*panic))),
            }
        };
        Ok(reply.boxed())
    }

    fn stream(
        &self,
        session: &Arc<Session>,
        request: LocalRequest,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let agent = self.find(&request)?;
        let HandlerFn::Stream(function) = agent.function() else {
            return Err(wrong_shape(&request));
        };
        let run = Run::new(agent, session, request);
        let chunks = async move {
            let chunks = run.start(&*function)?;
            Ok::<_, Error>(run.chunks(chunks))
        };
        Ok(stream::once(chunks).try_flatten().boxed())
    }
}

/// The error for a handler whose kind differs from its shape.
fn wrong_shape(request: &LocalRequest) -> Error {
    let message = format!("agent '{}' does not fit its shape", request.agent);
    Error::raised(ErrorCode::InvocationMismatch, message)
}

/// One run of an agent.
struct Run {
    agent: Agent,
    session: Arc<Session>,
    request: LocalRequest,
    /// The timeout of the agent and its end, if the handler must end before its caller stops waiting.
    timeout: Option<(Duration, Instant)>,
    /// The token of the handler's context.
    cancelled: CancellationToken,
}

impl Run {
    fn new(agent: &Agent, session: &Arc<Session>, request: LocalRequest) -> Self {
        let timeout = agent.timeout().and_then(|timeout| {
            let end = Instant::now().checked_add(timeout)?;
            let is_first = request.deadline.is_none_or(|deadline| end < deadline);
            is_first.then_some((timeout, end))
        });
        Self {
            agent: agent.clone(),
            session: Arc::clone(session),
            request,
            timeout,
            cancelled: CancellationToken::new(),
        }
    }

    /// Checks and decodes the input, and starts the handler.
    fn start<T>(
        &self,
        function: impl FnOnce(Invocation<'_>) -> Result<T, DecodeError>,
    ) -> Result<T> {
        let (name, body) = (&self.request.agent, &*self.request.body);
        let schema = self.agent.input();
        let schema = schema.as_deref();
        check_restrictions(name, schema, body).map_err(|error| self.failed(error))?;
        let invocation = Invocation {
            body,
            context: &|| self.context(),
        };
        let started = catch_unwind(AssertUnwindSafe(|| {
            self.span().in_scope(|| function(invocation))
        }));
        match started {
            Ok(Ok(started)) => Ok(started),
            Ok(Err(error)) => Err(self.failed(explain(name, schema, body, error))),
            Err(panic) => Err(self.failed(handler_panicked(&*panic))),
        }
    }

    fn context(&self) -> Context {
        let timeout_end = self.timeout.map(|(_, end)| end);
        Context::of(ContextInner {
            agent: Some(self.request.agent.clone()),
            request_id: self.request.id.clone(),
            headers: self.request.headers.clone(),
            caller: Some(self.session.instance_id.clone()),
            cancelled: self.cancelled.clone(),
            usage: ReportedUsage::default(),
            mesh: Client::new(
                Arc::clone(&self.session),
                timeout_end.or(self.request.deadline),
            ),
        })
    }

    /// The chunks of a started handler, up to the first error.
    fn chunks(self, chunks: Chunks) -> BoxStream<'static, Result<Bytes>> {
        let guard = self.cancel_on_drop();
        let chunks = AssertUnwindSafe(chunks).catch_unwind();
        let state = Some((self, chunks, guard));
        let chunks = stream::unfold(state, |state| async move {
            let (run, mut chunks, guard) = state?;
            let next = chunks.next().instrument(run.span());
            let failure = match run.within_timeout(next).await {
                Ok(Some(Ok(Ok(body)))) => return Some((Ok(body), Some((run, chunks, guard)))),
                Ok(None) => {
                    guard.disarm();
                    return None;
                }
                Ok(Some(Ok(Err(error)))) => run.failed(handler_failed(error)),
                Ok(Some(Err(panic))) => run.failed(handler_panicked(&*panic)),
                Err(timed_out) => return Some((Err(timed_out), None)),
            };
            guard.disarm();
            Some((Err(failure), None))
        });
        chunks.boxed()
    }

    /// Fires the token of the handler's context when the handler is dropped before its end.
    fn cancel_on_drop(&self) -> DropGuard {
        self.cancelled.clone().drop_guard()
    }

    /// Runs `work` within the timeout of the agent.
    async fn within_timeout<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let Some((timeout, end)) = self.timeout else {
            return Ok(work.await);
        };
        let timed_out = |_| self.failed(run_timed_out(&self.request.agent, timeout));
        tokio::time::timeout_at(end, work).await.map_err(timed_out)
    }

    /// `error` as it arrives at a caller, and its log line.
    fn failed(&self, error: Error) -> Error {
        let error = error
            .with_agent(&self.request.agent)
            .with_request(&self.request.id);
        log_failure(&error);
        error.to_object().into()
    }

    fn span(&self) -> Span {
        let (agent, request_id) = (&self.request.agent, &self.request.id);
        tracing::info_span!("request", %agent, %request_id)
    }
}
