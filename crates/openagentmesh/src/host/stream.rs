//! Answering chunk by chunk, no faster than the caller takes them.

use std::panic::AssertUnwindSafe;
use std::pin::pin;

use async_nats::Subject;
use bytes::Bytes;
use futures::FutureExt;
use openagentmesh_protocol::{ChunkHeaders, ErrorCode, HeaderSink, RequestId, header, subject};

use super::attendance::{self, Absence};
use super::decode::Request;
use super::dispatch::{self, Unanswered};
use super::feedback::Listener;
use super::pace::Watch;
use super::service::Served;
use super::turns::Turns;
use crate::agent::{Chunks, Many};
use crate::error::{Error, Result};
use crate::trace;
use crate::wire::{Outgoing, Template};

/// Runs the handler for one request, and sends what it gives until it ends or nobody waits for it.
pub(super) async fn answer(
    served: &Served,
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
    let chunks = dispatch::start(served, request, function)?;
    let listener = served
        .feedback
        .listen_to_consumer(request.headers.stream_credit);
    let sender = Sender::new(served, stream, &listener);
    let absence = {
        let mut ended = pin!(attendance::ended(served, request, Some(&listener)));
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
                Err(Stopped::Gone) => Absence::CallerGone,
            },
            absence = &mut ended => absence,
        }
    };
    Err(dispatch::unanswered(
        served,
        request,
        absence,
        dispatch::NOT_FINISHED,
    ))
}

/// Why a stream stopped before its end.
enum Stopped {
    Failed(Error),
    Gone,
}

/// Where the chunks of one stream go.
struct Sender<'s> {
    served: &'s Served,
    listener: &'s Listener,
    subject: Subject,
    /// Of chunks; each has its own number.
    headers: Template,
    id: &'s RequestId,
}

impl<'s> Sender<'s> {
    fn new(served: &'s Served, id: &'s RequestId, listener: &'s Listener) -> Self {
        Self {
            served,
            listener,
            subject: subject::stream(id).into(),
            headers: Template::new(|template| chunk_headers(served, id, 0, false).write(template)),
            id,
        }
    }

    async fn send_all(&self, mut chunks: Chunks, mut watch: Watch<'_>) -> Result<(), Stopped> {
        let mut turns = Turns::new();
        let mut seq = 0;
        loop {
            // One chunk is made ahead of what the caller can take, which tells the end at once.
            let next = {
                let next = pin!(AssertUnwindSafe(turns.next(&mut chunks)).catch_unwind());
                watch.until_it_waits(next).await
            };
            let body = match next {
                Ok(Some(Ok(body))) => body,
                Ok(Some(Err(error))) => return Err(Stopped::Failed(dispatch::failed(error))),
                Ok(None) => break,
                Err(panic) => return Err(Stopped::Failed(dispatch::panicked(&*panic))),
            };
            self.listener.one_chunk().await;
            // A stream that never waits must hear of it too.
            if self.listener.is_gone() {
                return Err(Stopped::Gone);
            }
            self.send(seq, body).await.map_err(Stopped::Failed)?;
            turns.end_one().await;
            seq += 1;
        }
        drop(chunks);
        self.end(seq).await.map_err(Stopped::Failed)
    }

    /// Sends a chunk. Nobody's interest in it comes back on the listener's subject.
    async fn send(&self, seq: u64, body: Bytes) -> Result<()> {
        let mut headers = self.headers.copy();
        headers.put(header::STREAM_SEQ, &seq.to_string());
        let (subject, reply) = (self.subject.clone(), self.listener.subject().clone());
        let outbox = self.served.outbox();
        outbox.publish(subject, Some(reply), headers.0, body).await
    }

    /// Sends the end marker.
    async fn end(&self, seq: u64) -> Result<()> {
        let mut headers = Outgoing::default();
        chunk_headers(self.served, self.id, seq, true).write(&mut headers);
        let subject = self.subject.clone();
        let outbox = self.served.outbox();
        outbox.publish(subject, None, headers.0, Bytes::new()).await
    }
}

fn chunk_headers<'h>(
    served: &'h Served,
    request_id: &'h RequestId,
    seq: u64,
    end: bool,
) -> ChunkHeaders<'h> {
    ChunkHeaders {
        seq: Some(seq),
        end,
        request_id: Some(request_id.as_str()),
        instance_id: Some(served.core.instance_id.as_str()),
        ..ChunkHeaders::default()
    }
}
