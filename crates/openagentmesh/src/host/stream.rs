//! Answering chunk by chunk, no faster than the caller takes them.

use std::panic::AssertUnwindSafe;
use std::pin::pin;

use async_nats::Subject;
use bytes::Bytes;
use futures::FutureExt;
use openagentmesh_protocol::{ChunkHeaders, ErrorCode, HeaderSink, RequestId, header, subject};

use super::cancellation::{self, CancelReason};
use super::invoke::{self, Unanswered};
use super::pace::Watch;
use super::request::Request;
use super::service::AgentState;
use super::signals::SignalHandle;
use super::turns::Turns;
use crate::agent::{Chunks, Many};
use crate::error::{Error, Result};
use crate::telemetry::trace;
use crate::transport::{Outgoing, Template};

/// Runs the handler for one request, and sends what it gives until it ends or nobody waits for it.
pub(super) async fn answer(
    served: &AgentState,
    request: &Request<'_>,
    function: &Many,
    watch: Watch<'_>,
) -> Result<(), Unanswered> {
    let Some(stream) = request.awaited_stream() else {
        return Err(Error::raised(
            ErrorCode::InvalidInput,
            "a stream goes to the subject that its request's id names, and this one has none",
        )
        .with_detail("header", header::REQUEST_ID)
        .into());
    };
    let chunks = invoke::start(served, request, function)?;
    let listener = served
        .feedback
        .listen_to_consumer(request.headers.stream_credit);
    let sender = Sender::new(served, stream, &listener);
    let absence = {
        let mut ended = pin!(cancellation::ended(served, request, Some(&listener)));
        let mut sending = pin!(trace::in_span(
            &served.name,
            &request.headers,
            sender.send_all(chunks, watch)
        ));
        tokio::select! {
            // A stream that never waits is sent before there is a timer, and hears itself that its caller
            // is gone.
            biased;
            sent = &mut sending => match sent {
                Ok(()) => return Ok(()),
                Err(Stopped::Failed(error)) => return Err(error.into()),
                Err(Stopped::Gone) => CancelReason::CallerGone,
            },
            absence = &mut ended => absence,
        }
    };
    Err(invoke::unanswered(
        served,
        request,
        absence,
        invoke::NOT_FINISHED,
    ))
}

/// Why a stream stopped before its end.
enum Stopped {
    Failed(Error),
    Gone,
}

/// Where the chunks of one stream go.
struct Sender<'s> {
    served: &'s AgentState,
    listener: &'s SignalHandle,
    subject: Subject,
    /// Of chunks; each has its own number.
    headers: Template,
    id: &'s RequestId,
}

impl<'s> Sender<'s> {
    fn new(served: &'s AgentState, id: &'s RequestId, listener: &'s SignalHandle) -> Self {
        Self {
            served,
            listener,
            subject: subject::stream(id).into(),
            headers: Template::new(|template| chunk_headers(served, id, 0, false).write(template)),
            id,
        }
    }

    async fn send_all(&self, mut chunks: Chunks, watch: Watch<'_>) -> Result<(), Stopped> {
        let mut turns = Turns::new(self.served.publisher());
        let sent = self.send_each(&mut turns, &mut chunks, watch).await;
        // What came before a failure counts, and dropping the handler's stream may fail, too.
        turns.leave().await.map_err(Stopped::Failed)?;
        drop(chunks);
        self.end(sent?).await.map_err(Stopped::Failed)
    }

    /// Sends the chunks, and says how many there were.
    async fn send_each(
        &self,
        turns: &mut Turns,
        chunks: &mut Chunks,
        mut watch: Watch<'_>,
    ) -> Result<u64, Stopped> {
        let mut seq = 0;
        loop {
            // One chunk is made ahead of what the caller can take, which tells the end at once.
            let next = {
                let next = pin!(AssertUnwindSafe(turns.next(chunks)).catch_unwind());
                watch.until_it_waits(next).await
            };
            let next = next.map_err(|panic| Stopped::Failed(invoke::panicked(&*panic)))?;
            let Some(body) = next.map_err(Stopped::Failed)? else {
                return Ok(seq);
            };
            let body = body.map_err(|error| Stopped::Failed(invoke::failed(error)))?;
            if !self.listener.one_chunk_now() {
                // The caller gives more for what it has taken.
                turns.leave().await.map_err(Stopped::Failed)?;
                self.listener.one_chunk().await;
            }
            // A stream that never waits must hear of it too.
            if self.listener.is_gone() {
                return Err(Stopped::Gone);
            }
            let mut headers = self.headers.copy();
            headers.put(header::STREAM_SEQ, &seq.to_string());
            // Nobody's interest in it comes back on the listener's subject.
            let (subject, reply) = (self.subject.clone(), self.listener.subject().clone());
            let added = turns.add(subject, Some(reply), headers.0, body);
            added.await.map_err(Stopped::Failed)?;
            seq += 1;
            turns.end_if_over().await.map_err(Stopped::Failed)?;
        }
    }

    /// Sends the end marker.
    async fn end(&self, seq: u64) -> Result<()> {
        let mut headers = Outgoing::default();
        chunk_headers(self.served, self.id, seq, true).write(&mut headers);
        let subject = self.subject.clone();
        let publisher = self.served.publisher();
        publisher
            .publish(subject, None, headers.0, Bytes::new())
            .await
    }
}

fn chunk_headers<'h>(
    served: &'h AgentState,
    request_id: &'h RequestId,
    seq: u64,
    end: bool,
) -> ChunkHeaders<'h> {
    ChunkHeaders {
        seq: Some(seq),
        end,
        request_id: Some(request_id.as_str()),
        instance_id: Some(served.session.instance_id.as_str()),
        ..ChunkHeaders::default()
    }
}
