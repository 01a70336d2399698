use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::pin;
use std::time::Duration;

use async_nats::Subscriber;
use futures::FutureExt;
use futures::future::BoxFuture;
use openagentmesh_protocol::{RequestHeaders, Verb, subject};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Client;
use super::chunks::{Chunks, Receiving};
use super::credit_window::Window;
use super::deadline::Deadline;
use super::request::{Checked, Content, Request};
use crate::error::Result;
use crate::transport;
use crate::transport::PendingReply;

/// How long to wait for the next chunk, unless the request says otherwise.
const DEFAULT_CHUNK_TIMEOUT: Duration = Duration::from_secs(60);
/// A request for a streamed reply, sent when it is awaited; made by [`Client::stream`].
///
/// # Errors
///
/// Awaiting it fails with
///
/// * `invocation_mismatch` before anything is sent, when the agent does not stream; the message says
///   which verb fits;
/// * `payload_too_large` before anything is sent, when the input does not fit the server;
/// * `invalid_input` when the name is no agent name, the input cannot be JSON, or a header cannot be
///   sent;
/// * `timeout` when the connection did not take the request in time;
/// * `connection_failed` when the connection is closed.
///
/// What the agent answers, its errors among it, comes as items of [`Chunks`].
///
/// # Cancel safety
///
/// Dropping the future leaves nothing behind here; if the request was sent, the host drops its
/// handler.
#[must_use = "a stream is asked for when the request is awaited"]
pub struct StreamRequest<Out> {
    request: Request,
    timeout: Option<Duration>,
    chunk_timeout: Duration,
    window: Window,
    output: PhantomData<fn() -> Out>,
}

impl<Out> StreamRequest<Out> {
    pub(super) fn new(client: &Client, name: &str, input: &impl Serialize) -> Self {
        Self {
            request: Request::new(client, name, input),
            timeout: None,
            chunk_timeout: DEFAULT_CHUNK_TIMEOUT,
            window: Window::growing(),
            output: PhantomData,
        }
    }

    /// How long the whole stream may take: as long as it likes if nothing is given, but never longer
    /// than the request that a handler serves. The host knows it and gives up at the same time.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How long to wait for each chunk: 60 s if nothing is given. Only the time during which a chunk
    /// is waited for counts.
    pub fn chunk_timeout(mut self, timeout: Duration) -> Self {
        self.chunk_timeout = timeout;
        self
    }

    /// How many chunks may be on their way or wait here, at least 1 and at most 32,768. The host makes
    /// no more until some were taken. If nothing is given, 128, and up to 2,048 or 4 MiB of them in memory
    /// while they are taken as fast as they come.
    ///
    /// Hosts of the published Python SDK do not know of it; what they send too fast is kept up to a
    /// limit, and then the stream ends with `chunk_sequence_error`.
    pub fn window(mut self, chunks: u32) -> Self {
        self.window = Window::of(chunks);
        self
    }

    /// Adds a header to the request. Names that begin with `X-Mesh-` or `Nats-` are taken.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.request.header(name.as_ref(), value.as_ref());
        self
    }

    async fn open(self) -> Result<Receiving> {
        let deadline = self.request.client.deadline_after(self.timeout);
        let patience = Deadline::after(self.chunk_timeout);
        let patience = deadline.map_or(patience, |deadline| deadline.min(patience));
        let (request, content) = self.request.check()?;
        let (subscriber, expected) = {
            let asking = pin!(ask(&request, content, self.window.chunks(), deadline));
            patience.bound(&request.name, asking).await?
        };
        Ok(Receiving::new(
            request,
            subscriber,
            expected,
            self.window,
            deadline,
            self.chunk_timeout,
        ))
    }
}

async fn ask(
    request: &Checked,
    content: Content,
    window: u32,
    deadline: Option<Deadline>,
) -> Result<(Subscriber, PendingReply)> {
    request.check_verb(Verb::Stream).await?;
    let expected = request.session().connection.inbox.expect().await?;
    let subscriber = request
        .session()
        .connection
        .client
        .subscribe(subject::stream(&request.id))
        .await
        .map_err(|error| request.about(transport::closed(error.to_string())))?;
    let headers = RequestHeaders {
        stream: true,
        timeout_ms: deadline.map(Deadline::milliseconds_left),
        stream_credit: Some(window),
        probe: true,
        ..RequestHeaders::default()
    };
    let sent = request.publish(content, Some(expected.subject()), headers);
    sent.await?;
    Ok((subscriber, expected))
}

impl<Out: DeserializeOwned + Send + 'static> IntoFuture for StreamRequest<Out> {
    type Output = Result<Chunks<Out>>;
    type IntoFuture = BoxFuture<'static, Result<Chunks<Out>>>;

    fn into_future(self) -> Self::IntoFuture {
        self.open().map(|opened| opened.map(Chunks::new)).boxed()
    }
}
