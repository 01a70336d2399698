//! Requests that agents of this process answer, in place of a mesh.

use async_nats::{HeaderMap, Message, Subject};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, future, stream};
use openagentmesh_protocol::{ChunkHeaders, ErrorCode, RequestHeaders, Verb};
use tokio_util::task::AbortOnDropHandle;

use super::deadline::Deadline;
use super::request::{Checked, Content};
use crate::error::Result;
use crate::session::Answers;
use crate::transport::{self, Outgoing, PendingReply};

/// The reply to a request, from the mesh or from an agent of this process.
pub(super) enum Pending {
    Mesh(PendingReply),
    /// Runs the agent.
    Local(BoxFuture<'static, Result<Message>>),
}

impl Pending {
    /// A reply that never arrives: the chunks of a stream arrive instead.
    pub(super) fn never() -> Self {
        Self::Local(future::pending().boxed())
    }

    /// Waits for the reply. Cancel-safe. Must not be called again after it has returned.
    ///
    /// # Errors
    ///
    /// Those of [`PendingReply::reply`], and the error of an agent of this process.
    pub(super) async fn reply(&mut self) -> Result<Message> {
        match self {
            Self::Mesh(pending) => pending.reply().await,
            Self::Local(running) => running.await,
        }
    }

    /// Sets the subject that cancels the request at its host.
    pub(super) fn set_cancel_subject(&self, subject: &Subject) {
        if let Self::Mesh(pending) = self {
            pending.set_cancel_subject(subject);
        }
    }

    /// The request is complete: dropping this cancels nothing.
    pub(super) fn finish(&mut self) {
        if let Self::Mesh(pending) = self {
            pending.finish();
        }
    }
}

/// The reply of `answers` to a request. The handler of a `call` runs while the reply is awaited. That of a `send`
/// runs in a task, which ends when the reply is dropped.
///
/// # Errors
///
/// Those of [`Answers::reply`] that come at once.
pub(super) fn reply(
    answers: &dyn Answers,
    request: &Checked,
    content: Content,
    deadline: Deadline,
) -> Result<Pending> {
    let headers = RequestHeaders {
        timeout_ms: Some(deadline.milliseconds_left()),
        ..RequestHeaders::default()
    };
    let verb = request.verb();
    let local = request.local(content, headers, Some(deadline.at));
    let running = answers.reply(request.client.session(), local)?;
    let subject = request.subject.clone();
    let reply = running.map(|body| Ok(message(subject, HeaderMap::new(), body?)));
    Ok(Pending::Local(match verb {
        Verb::Send => {
            let task = AbortOnDropHandle::new(tokio::spawn(reply));
            let ended = task.map(|ended| {
                ended.unwrap_or_else(|_| Err(transport::closed("the runtime was shut down")))
            });
            ended.boxed()
        }
        _ => reply.boxed(),
    }))
}

/// Sends a request to `answers` without a reply. The handler runs up to its first wait, so that a test sees the
/// effects of a handler that does not wait. The rest runs in a task, until the deadline.
///
/// # Errors
///
/// Those of [`Answers::reply`] that come at once.
pub(super) fn send(
    answers: &dyn Answers,
    request: &Checked,
    content: Content,
    headers: RequestHeaders,
    deadline: Deadline,
) -> Result<()> {
    let local = request.local(content, headers, Some(deadline.at));
    let mut running = answers.reply(request.client.session(), local)?;
    // The error is logged where it occurs.
    if (&mut running).now_or_never().is_none() {
        tokio::spawn(async move { drop(tokio::time::timeout_at(deadline.at, running).await) });
    }
    Ok(())
}

/// The chunks of `answers`, as the messages of a host that ignores credit: a chunk is produced when it is taken.
///
/// # Errors
///
/// Those of [`Answers::stream`] that come at once, except `not_found`, which is an item as on a mesh.
pub(super) fn chunks(
    answers: &dyn Answers,
    request: &Checked,
    content: Content,
    deadline: Option<Deadline>,
) -> Result<BoxStream<'static, Result<Message>>> {
    let headers = RequestHeaders {
        stream: true,
        timeout_ms: deadline.map(Deadline::milliseconds_left),
        ..RequestHeaders::default()
    };
    let local = request.local(content, headers, deadline.map(|deadline| deadline.at));
    let chunks = match answers.stream(request.client.session(), local) {
        Ok(chunks) => chunks,
        Err(error) if *error.code() == ErrorCode::NotFound => {
            stream::once(future::ready(Err(error))).boxed()
        }
        Err(error) => return Err(error),
    };
    let subject = request.subject.clone();
    let end = message(subject.clone(), chunk_headers(None), Bytes::new());
    let chunks = stream::iter(0..).zip(chunks).map(move |(seq, chunk)| {
        let headers = chunk_headers(Some(seq));
        Ok(message(subject.clone(), headers, chunk?))
    });
    Ok(chunks.chain(stream::once(future::ready(Ok(end)))).boxed())
}

/// The headers of chunk `seq`; without a number, those of the end marker.
fn chunk_headers(seq: Option<u64>) -> HeaderMap {
    let mut headers = Outgoing::default();
    ChunkHeaders {
        seq,
        end: seq.is_none(),
        ..ChunkHeaders::default()
    }
    .write(&mut headers);
    headers.0
}

fn message(subject: Subject, headers: HeaderMap, body: Bytes) -> Message {
    Message {
        subject,
        reply: None,
        length: body.len(),
        payload: body,
        headers: Some(headers),
        status: None,
        description: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pending_reply_of_two_origins_is_as_small_as_one_of_the_mesh() {
        assert_eq!(size_of::<Pending>(), size_of::<PendingReply>());
    }
}
