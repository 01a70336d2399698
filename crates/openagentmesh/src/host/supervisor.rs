//! Publishers and watchers: they run while the agent is served, and again after a failure.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use openagentmesh_protocol::{
    ChunkHeaders, ErrorCode, HeaderSink, Headers, RequestId, Shape, header, subject,
};
use rand::RngExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::invoke::{failed, panicked};
use super::reply;
use super::service::AgentState;
use super::turns::Turns;
use crate::agent::{Chunks, Context, ContextInner, Invocation, Run, Running};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::transport::{Outgoing, Template};

/// How long to wait after a first failure; after each further one twice as long, and up to as much
/// again at random.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// After running for so long, a failure is a first one again.
const STEADY: Duration = Duration::from_secs(60);
/// How long a connection that is full or lost may hold up the end.
const LAST_EVENT: Duration = Duration::from_secs(1);

/// Runs the agent until it ends by itself, or `stop` or the abort fires.
pub(super) async fn run(served: Arc<AgentState>, stop: CancellationToken) {
    let mut events = EventSender::new(&served);
    let mut pause = FIRST_PAUSE;
    loop {
        let started = Instant::now();
        let run = RequestId::random();
        let cancelled = OnceLock::new();
        let ended = tokio::select! {
            biased;
            () = served.abort.cancelled() => None,
            () = stop.cancelled() => None,
            ended = run_once(&served, &run, &cancelled, &mut events) => Some(ended),
        };
        // What the run has started elsewhere ends with it.
        cancelled.get().map(CancellationToken::cancel);
        let error = match ended {
            None => break,
            Some(Ok(())) => {
                tracing::debug!(agent = %served.name, "it has ended by itself");
                break;
            }
            Some(Err(error)) => error,
        };
        if started.elapsed() >= STEADY {
            pause = FIRST_PAUSE;
        }
        let nap = pause + rand::rng().random_range(Duration::ZERO..pause);
        tracing::warn!(agent = %served.name, code = %error.code(), %error, restart_in = ?nap,
            "it failed and is started again");
        reply::dead_letter(&served, &run, error).await;
        tokio::select! {
            () = served.abort.cancelled() => break,
            () = stop.cancelled() => break,
            () = tokio::time::sleep(nap) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    if served.shape == Shape::Publisher {
        match tokio::time::timeout(LAST_EVENT, events.end()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(agent = %served.name, %error, "subscribers do not hear of the end");
            }
            Err(_) => tracing::debug!(agent = %served.name, "the connection takes no end marker"),
        }
    }
}

/// Runs the agent until it ends.
async fn run_once(
    served: &Arc<AgentState>,
    run: &RequestId,
    cancelled: &OnceLock<CancellationToken>,
    events: &mut EventSender,
) -> Result<()> {
    let running = async {
        match start(served, run, cancelled)? {
            Started::Once(running) => running.await.map(|_| ()).map_err(failed),
            Started::Many(chunks) => events.send_all(chunks).await,
        }
    };
    let ended = AssertUnwindSafe(running)
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| Err(panicked(&*panic)));
    // What came before a failure counts.
    let left = events.turns.leave().await;
    ended.and(left)
}

enum Started {
    Once(Running),
    Many(Chunks),
}

fn start(
    served: &Arc<AgentState>,
    run: &RequestId,
    cancelled: &OnceLock<CancellationToken>,
) -> Result<Started> {
    let context = || {
        Context::of(ContextInner {
            agent: Some(served.name.clone()),
            request_id: run.clone(),
            headers: Headers::default(),
            caller: None,
            cancelled: cancelled.get_or_init(CancellationToken::new).clone(),
            mesh: Client::new(Arc::clone(&served.session), None),
        })
    };
    let invocation = Invocation {
        body: &[],
        context: &context,
    };
    let started = match &served.run {
        Run::Once(function) => function(invocation).map(Started::Once),
        Run::Many(function) => function(invocation).map(Started::Many),
    };
    // Neither takes an input, so that there is none to be wrong.
    started.map_err(|error| Error::raised(ErrorCode::HandlerError, error.message))
}

/// Where a publisher's events go. Their numbers go on over restarts, so that subscribers see one
/// stream.
struct EventSender {
    served: Arc<AgentState>,
    subject: async_nats::Subject,
    /// Of events, but for their numbers.
    headers: Template,
    next_seq: u64,
    turns: Turns,
}

impl EventSender {
    fn new(served: &Arc<AgentState>) -> Self {
        Self {
            subject: subject::events(&served.name).into(),
            headers: Template::new(|template| event_headers(served, None, false).write(template)),
            turns: Turns::new(served.publisher()),
            served: Arc::clone(served),
            next_seq: 0,
        }
    }

    /// Publishes as fast as the connection takes it.
    async fn send_all(&mut self, mut chunks: Chunks) -> Result<()> {
        while let Some(event) = self.turns.next(&mut chunks).await? {
            let body = event.map_err(failed)?;
            let mut headers = self.headers.copy();
            headers.put(header::STREAM_SEQ, &self.next_seq.to_string());
            let subject = self.subject.clone();
            self.turns.add(subject, None, headers.0, body).await?;
            self.next_seq += 1;
            self.turns.end_if_over().await?;
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<()> {
        let mut headers = Outgoing::default();
        event_headers(&self.served, Some(self.next_seq), true).write(&mut headers);
        let subject = self.subject.clone();
        let added = self.turns.add(subject, None, headers.0, Bytes::new());
        added.await?;
        self.turns.leave().await
    }
}

fn event_headers(served: &AgentState, seq: Option<u64>, end: bool) -> ChunkHeaders<'_> {
    ChunkHeaders {
        seq,
        end,
        instance_id: Some(served.session.instance_id.as_str()),
        ..ChunkHeaders::default()
    }
}
