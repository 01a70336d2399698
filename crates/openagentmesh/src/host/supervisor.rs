//! Runs publishers and watchers while their agent is served, and restarts them after a failure.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryFutureExt};
use openagentmesh_protocol::{
    ChunkHeaders, ErrorCode, Headers, RequestId, Shape, Visible, subject,
};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::batcher::{Batcher, Unwritten};
use super::outcome::{handler_failed, handler_panicked};
use super::reply;
use super::state::AgentState;
use crate::agent::{Chunks, Context, ContextInner, HandlerFn, Invocation, ReportedUsage, Running};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::transport::Outgoing;
use crate::util::backoff::Backoff;

/// The back-off between a failure and the restart.
const FIRST_DELAY: Duration = Duration::from_millis(200);
const MAX_DELAY: Duration = Duration::from_secs(60);
/// A run of this length resets the back-off.
const RESET_AFTER: Duration = Duration::from_secs(60);
/// The time that a full or lost connection may delay the last events of a publisher, and then its end marker.
const LAST_EVENTS_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs the agent until it ends, `stop` fires, or the agent is aborted.
pub(super) async fn run(agent: Arc<AgentState>, stop: CancellationToken) {
    let mut events = EventSender::new(&agent);
    let mut backoff = Backoff::new(FIRST_DELAY, MAX_DELAY);
    loop {
        let started = Instant::now();
        let run = RequestId::random();
        let cancelled = OnceLock::new();
        let running = async {
            tokio::select! {
                biased;
                () = agent.abort.cancelled() => None,
                ended = run_once(&agent, &run, &cancelled, &stop, &mut events) => Some(ended),
                () = overdue(&stop) => None,
            }
        };
        // The handler may also panic when it is dropped, which each branch does.
        let ended = AssertUnwindSafe(running).catch_unwind().await;
        let ended = ended.unwrap_or_else(|panic| Some(Err(handler_panicked(&*panic))));
        cancelled.get().map(CancellationToken::cancel);
        let error = match ended {
            None => break,
            Some(Ok(())) => {
                tracing::debug!(agent = %agent.name, "the agent has ended");
                break;
            }
            Some(Err(error)) => error,
        };
        if started.elapsed() >= RESET_AFTER {
            backoff.reset();
        }
        let delay = backoff.next_delay();
        tracing::warn!(agent = %agent.name, code = %Visible(error.code()), %error, restart_in = ?delay,
            "the agent failed and will be restarted");
        reply::dead_letter(&agent, &run, error).await;
        tokio::select! {
            () = agent.abort.cancelled() => break,
            () = stop.cancelled() => break,
            () = sleep(delay) => {}
        }
    }
    if agent.shape == Shape::Publisher {
        match timeout(LAST_EVENTS_TIMEOUT, events.end()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(agent = %agent.name, %error, "the end marker could not be sent");
            }
            Err(_) => tracing::debug!(agent = %agent.name, "the end marker was not sent in time"),
        }
    }
}

/// Resolves when the last events of a publisher should have been sent.
async fn overdue(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(LAST_EVENTS_TIMEOUT).await;
}

/// Runs the agent until it ends or `stop` fires. If `stop` fires while an event is sent, the event is sent
/// first, so that subscribers see no gap.
async fn run_once(
    agent: &Arc<AgentState>,
    run: &RequestId,
    cancelled: &OnceLock<CancellationToken>,
    stop: &CancellationToken,
    events: &mut EventSender,
) -> Result<()> {
    let span = tracing::info_span!("run", agent = %agent.name, request_id = %run);
    match span.in_scope(|| start(agent, run, cancelled))? {
        Started::Unary(running) => {
            let running = running.instrument(span);
            match stop.run_until_cancelled(running).await {
                Some(Err(error)) => Err(handler_failed(error)),
                Some(Ok(_)) | None => Ok(()),
            }
        }
        Started::Stream(chunks) => events.send_all(chunks, stop).instrument(span).await,
    }
}

enum Started {
    Unary(Running),
    Stream(Chunks),
}

fn start(
    agent: &Arc<AgentState>,
    run: &RequestId,
    cancelled: &OnceLock<CancellationToken>,
) -> Result<Started> {
    let context = || {
        Context::of(ContextInner {
            agent: Some(agent.name.clone()),
            request_id: run.clone(),
            headers: Headers::default(),
            caller: None,
            cancelled: cancelled.get_or_init(CancellationToken::new).clone(),
            usage: ReportedUsage::default(),
            mesh: Client::new(Arc::clone(&agent.session), None),
        })
    };
    let invocation = Invocation {
        body: &[],
        context: &context,
    };
    let started = match &agent.handler {
        HandlerFn::Unary(function) => function(invocation).map(Started::Unary),
        HandlerFn::Stream(function) => function(invocation).map(Started::Stream),
    };
    // Unreachable: publishers and watchers have no input.
    started.map_err(|error| Error::raised(ErrorCode::HandlerError, error.message))
}

/// The destination of a publisher's events. Sequence numbers continue after a restart, so that subscribers
/// see one stream.
struct EventSender {
    agent: Arc<AgentState>,
    subject: async_nats::Subject,
    next_seq: u64,
}

impl EventSender {
    fn new(agent: &Arc<AgentState>) -> Self {
        Self {
            subject: subject::events(&agent.name).into(),
            agent: Arc::clone(agent),
            next_seq: 0,
        }
    }

    /// Publishes events as fast as the connection accepts them.
    async fn send_all(&mut self, chunks: Chunks, stop: &CancellationToken) -> Result<()> {
        let stopped = pin!(stop.cancelled());
        let mut chunks = chunks.take_until(stopped);
        let (mut batcher, mut unwritten) = (Batcher::default(), Unwritten::default());
        while let Some(event) = batcher.next(&mut chunks).await {
            let body = event.map_err(handler_failed)?;
            let mut headers = Outgoing::default();
            event_headers(&self.agent, self.next_seq, false).write(&mut headers);
            let bytes = body.len();
            self.publish(headers, body).await?;
            let written = unwritten.add(bytes, &self.agent.session.connection);
            if stop.run_until_cancelled(written).await.is_none() {
                break;
            }
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<()> {
        let mut headers = Outgoing::default();
        event_headers(&self.agent, self.next_seq, true).write(&mut headers);
        self.publish(headers, Bytes::new()).await
    }

    async fn publish(&mut self, headers: Outgoing, body: Bytes) -> Result<()> {
        let publisher = self.agent.publisher();
        let published = publisher.publish(self.subject.clone(), None, headers.0, body);
        let connection = &self.agent.session.connection;
        let next_seq = &mut self.next_seq;
        // Counted also when the run ends while the first event waits for its confirmation.
        let counted = published.map_ok(|()| *next_seq += 1);
        connection.confirm(&self.subject, counted).await
    }
}

fn event_headers(agent: &AgentState, seq: u64, end: bool) -> ChunkHeaders<'_> {
    ChunkHeaders {
        seq: Some(seq),
        end,
        instance_id: Some(agent.session.instance_id.as_str()),
        ..ChunkHeaders::default()
    }
}
