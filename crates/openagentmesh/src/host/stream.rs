//! Answering chunk by chunk, no faster than the caller takes them.

use std::panic::AssertUnwindSafe;
use std::pin::pin;

use async_nats::Subject;
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use openagentmesh_protocol::{ChunkHeaders, ErrorCode, header, subject};

use super::attendance::{self, Absence};
use super::decode::Request;
use super::dispatch::{self, Unanswered};
use super::feedback::Listener;
use super::service::Served;
use crate::agent::{Chunks, Many};
use crate::error::{Error, Result};
use crate::trace;
use crate::wire::{self, Outgoing};

/// Runs the handler for one request, and sends what it gives until it ends or nobody waits for it.
pub(super) async fn answer(
    served: &Served,
    request: &Request<'_>,
    function: &Many,
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
    let sender = Sender {
        served,
        request,
        listener: &listener,
        subject: subject::stream(stream).into(),
    };
    let absence = {
        let mut ended = pin!(attendance::ended(served, request, Some(&listener)));
        let mut sending = pin!(trace::in_span(
            &served.name,
            &request.headers,
            sender.send_all(chunks)
        ));
        tokio::select! {
            biased;
            absence = &mut ended => absence,
            sent = &mut sending => match sent {
                Ok(()) => return Ok(()),
                Err(Stopped::Failed(error)) => return Err(error.into()),
                Err(Stopped::Gone) => Absence::CallerGone,
            },
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
    request: &'s Request<'s>,
    listener: &'s Listener,
    subject: Subject,
}

impl Sender<'_> {
    async fn send_all(&self, mut chunks: Chunks) -> Result<(), Stopped> {
        let mut seq = 0;
        loop {
            // One chunk is made ahead of what the caller can take, which tells the end at once.
            let next = AssertUnwindSafe(chunks.next()).catch_unwind().await;
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
            self.send(seq, false, body).await.map_err(Stopped::Failed)?;
            seq += 1;
        }
        drop(chunks);
        self.send(seq, true, Bytes::new())
            .await
            .map_err(Stopped::Failed)
    }

    /// Sends a chunk, or the end marker. Nobody's interest in it comes back on the listener's subject.
    async fn send(&self, seq: u64, end: bool, body: Bytes) -> Result<()> {
        let mut headers = Outgoing::default();
        ChunkHeaders {
            seq: Some(seq),
            end,
            request_id: Some(self.request.id.clone()),
            instance_id: Some(self.served.core.instance_id.clone()),
            ..ChunkHeaders::default()
        }
        .write(&mut headers);
        let reply = (!end).then(|| self.listener.subject().clone());
        let subject = self.subject.clone();
        wire::publish(self.served.client(), subject, reply, headers.0, body).await
    }
}
