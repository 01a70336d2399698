//! `stream`: one request, a reply of many chunks.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use openagentmesh_protocol::{RequestHeaders, Verb};
use serde::Serialize;

use super::chunk_source::Source;
use super::chunks::{Chunks, Receiving, Reopen};
use super::credit_window::Window;
use super::deadline::Deadline;
use super::from_reply::FromReply;
use super::handle::Client;
use super::local::{self, Pending};
use super::request::{Checked, Content, Request};
use super::retry::{Attempts, Retry};
use crate::error::{Error, Result};
use crate::util::deferred::Deferred;

/// The time to wait for the next chunk if no timeout is given.
const DEFAULT_CHUNK_TIMEOUT: Duration = Duration::from_secs(60);

impl Client {
    /// Calls agent `name` with `input` and receives its reply chunk by chunk.
    ///
    /// Awaiting the [`StreamRequest`] sends the request and returns [`Chunks`], a stream of
    /// `Result<Out>`.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// let mut words = mesh.stream::<String>("writer", "a poem").await?;
    /// while let Some(word) = words.next().await {
    ///     print!("{} ", word?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream<Out: FromReply + Send>(
        &self,
        name: impl AsRef<str>,
        input: impl Serialize,
    ) -> StreamRequest<Out> {
        let parts = Parts {
            request: Request::new(self, Verb::Stream, name.as_ref(), &input),
            options: Options {
                timeout: None,
                chunk_timeout: DEFAULT_CHUNK_TIMEOUT,
                window: Window::growing(),
            },
            retry: None,
        };
        StreamRequest(Deferred::new(parts, |parts| parts.run().boxed()))
    }
}

/// A request for a streamed reply. A future: the request is sent when it is first polled. Made by
/// [`Client::stream`]. The options must be given before the first poll.
///
/// # Errors
///
/// Awaiting it fails with
///
/// * `invocation_mismatch` before anything is sent, when the agent does not stream; the message names
///   the verb that fits;
/// * `payload_too_large` before anything is sent, when the input exceeds the server's limit;
/// * `invalid_input` when the agent name or a header is invalid, or the input cannot be written as JSON;
/// * `timeout` when the request could not be sent in time;
/// * the error of a client [`Interceptor`](crate::Interceptor) that refuses the request;
/// * `connection_failed` when the connection is closed. While the connection is lost, the request waits for it within
///   its timeouts and then fails with this code; it is not sent later.
///
/// The agent's reply, including its errors, arrives as items of [`Chunks`].
///
/// # Cancel safety
///
/// If the future is dropped after the request was sent, the host drops its handler.
#[must_use = "a request is sent when it is awaited"]
pub struct StreamRequest<Out>(Deferred<'static, Parts, Result<Chunks<Out>>>);

struct Parts {
    request: Request,
    options: Options,
    retry: Option<Box<Retry>>,
}

#[derive(Clone)]
struct Options {
    timeout: Option<Duration>,
    chunk_timeout: Duration,
    window: Window,
}

impl<Out> StreamRequest<Out> {
    /// Sets the limit of the whole stream: none by default. The deadline of the request that a handler serves
    /// bounds it. The host is sent the timeout and cancels the request at the same time.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.change(|parts| parts.options.timeout = Some(timeout));
        self
    }

    /// Sets the time to wait for each chunk: 60 s by default. Only the time that is spent waiting counts.
    pub fn chunk_timeout(mut self, timeout: Duration) -> Self {
        self.0.change(|parts| parts.options.chunk_timeout = timeout);
        self
    }

    /// Sets the number of chunks that may be in flight or wait to be taken, from 1 to 32,768. The host
    /// produces no more until some are taken. The default window begins at 8 chunks. It grows up to 4,096 chunks as long as
    /// chunks are taken as fast as they arrive. Large chunks make it smaller, so that it has 4 MiB of memory, but at least 2
    /// chunks.
    ///
    /// At most 64 MiB of chunks wait to be taken, whatever the window, each with its headers; beyond it the stream ends with
    /// `chunk_sequence_error`. The default window reaches that only if chunks suddenly become many times larger and are not
    /// taken. Hosts of the published Python SDK ignore the window, and their chunks are bounded by number
    /// too.
    pub fn window(mut self, chunks: u32) -> Self {
        self.0
            .change(|parts| parts.options.window = Window::of(chunks));
        self
    }

    /// Sends the request again when it fails before its first chunk in a way that is safe to repeat; see [`Retry`]. The
    /// timeout bounds all attempts together.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.0.change(|parts| parts.retry = Some(Box::new(retry)));
        self
    }

    /// Adds a header to the request. Names that begin with `X-Mesh-` or `Nats-` are reserved.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.0
            .change(|parts| parts.request.header(name.as_ref(), value.as_ref()));
        self
    }
}

impl Parts {
    async fn run<Out: FromReply + Send>(self) -> Result<Chunks<Out>> {
        let Self {
            mut request,
            options,
            retry,
        } = self;
        if let Some(retry) = retry {
            let deadline = request.stream_deadline(options.timeout);
            match Attempts::start(request, *retry, deadline) {
                Ok(attempts) => {
                    let mut reopening = Reopening { attempts, options };
                    let opened = reopening.open().boxed().await?;
                    return Ok(Chunks::new(opened, Some(Box::new(reopening))));
                }
                Err(invalid) => request = *invalid,
            }
        }
        Ok(Chunks::new(options.open(request).await?, None))
    }
}

/// The further attempts at a stream without a chunk.
struct Reopening {
    attempts: Attempts,
    options: Options,
}

impl Reopening {
    async fn open(&mut self) -> Result<Receiving> {
        loop {
            match self.options.clone().open(self.attempts.next()).await {
                Ok(opened) => return Ok(opened),
                Err(error) => self.attempts.wait(error).await?,
            }
        }
    }
}

impl Reopen for Reopening {
    fn reopen(&mut self, error: Error) -> BoxFuture<'_, Result<Receiving>> {
        let opened = async {
            self.attempts.wait(error).await?;
            self.open().await
        };
        opened.boxed()
    }
}

impl Options {
    async fn open(self, request: Request) -> Result<Receiving> {
        let deadline = request.stream_deadline(self.timeout);
        let first_timeout = request.attempt_timeout().unwrap_or(self.chunk_timeout);
        let first_timeout = first_timeout.min(self.chunk_timeout);
        let first_chunk = Deadline::after(first_timeout);
        let first_chunk = deadline.map_or(first_chunk, |deadline| deadline.min(first_chunk));
        let (mut request, content) = request.check()?;
        let published = {
            let window = self.window.chunks();
            let publishing = pin!(publish(&request, content, window, deadline));
            first_chunk
                .bound(&request.name, &request.session().connection, publishing)
                .await
        };
        match published {
            Ok((source, pending)) => Ok(Receiving::new(
                request,
                source,
                pending,
                self.window,
                deadline,
                first_timeout,
                self.chunk_timeout,
            )),
            Err(error) => request.interception.finish(Err(error)),
        }
    }
}

async fn publish(
    request: &Checked,
    content: Content,
    window: u32,
    deadline: Option<Deadline>,
) -> Result<(Source, Pending)> {
    if let Some(answers) = &request.session().answers {
        let chunks = local::chunks(&**answers, request, content, deadline)?;
        return Ok((Source::Local(chunks), Pending::never()));
    }
    request.check_verb().await?;
    let connection = &request.session().connection;
    let pattern = connection.streams.pattern();
    let expected = connection
        .inbox
        .expect(request.subject.clone(), Some(pattern));
    // Before the stream subscribes: a denial of that fails the pending reply.
    let pending = expected.await?;
    let chunks = connection.streams.open(request.number, window);
    let chunks = chunks.await.map_err(|error| request.about(error))?;
    let headers = RequestHeaders {
        stream: true,
        timeout_ms: deadline.map(Deadline::milliseconds_left),
        stream_credit: Some(window),
        stream_batch: true,
        probe: true,
        ..RequestHeaders::default()
    };
    let published = request.publish(content, Some(pending.subject()), headers);
    published.await?;
    Ok((Source::Mesh(chunks), Pending::Mesh(pending)))
}

impl<Out> Future for StreamRequest<Out> {
    type Output = Result<Chunks<Out>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}
