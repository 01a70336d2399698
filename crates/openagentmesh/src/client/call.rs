use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::pin;
use std::time::Duration;

use async_nats::StatusCode;
use futures::FutureExt;
use futures::future::BoxFuture;
use openagentmesh_protocol::{RequestHeaders, Verb};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::deadline::Deadline;
use super::request::{Checked, Content, Request};
use super::{Client, reply};
use crate::error::{Error, Result};
use crate::transport::PendingReply;

/// How long a call waits for its reply, unless it says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// A call that is sent when it is awaited; made by [`Client::call`].
///
/// # Errors
///
/// Awaiting it fails with
///
/// * `invocation_mismatch` before anything is sent, when the agent streams, publishes or runs in the
///   background; the message says which verb fits;
/// * `not_found` at once when nobody serves the name, `not_available` when the catalog lists it
///   all the same;
/// * `timeout` when no reply came in time; the handler is dropped then;
/// * `payload_too_large` before anything is sent, when the input does not fit the server;
/// * `invalid_input` when the name is no agent name, the input cannot be JSON, a header cannot be
///   sent, or the agent refused the input: `details.errors` then lists every problem;
/// * `handler_error` when the reply is not what `Out` says, and any code that the agent answers;
/// * `connection_failed` when the connection is closed.
///
/// # Cancel safety
///
/// Dropping the future ends the work at the host: the handler is dropped. A host of the published
/// Python SDK finishes it.
#[must_use = "a call is sent when it is awaited"]
pub struct Call<Out> {
    request: Request,
    timeout: Duration,
    output: PhantomData<fn() -> Out>,
}

impl<Out> Call<Out> {
    pub(super) fn new(client: &Client, name: &str, input: &impl Serialize) -> Self {
        Self {
            request: Request::new(client, name, input),
            timeout: DEFAULT_TIMEOUT,
            output: PhantomData,
        }
    }

    /// How long to wait for the reply: 30 s if nothing is given, and never longer than the request
    /// that a handler serves. The host knows it and gives up at the same time.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Adds a header to the request. Names that begin with `X-Mesh-` or `Nats-` are taken.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.request.header(name.as_ref(), value.as_ref());
        self
    }
}

/// A request whose reply is awaited. Dropped before it has come, it tells the host so.
pub(super) struct Sent {
    request: Checked,
    expected: PendingReply,
    deadline: Deadline,
}

impl Sent {
    pub(super) fn send(
        request: Request,
        verb: Verb,
        timeout: Duration,
    ) -> impl Future<Output = Result<Self>> {
        let deadline = request.deadline(timeout);
        let checked = request.check();
        async move {
            let (request, content) = checked?;
            let expected = {
                let asking = pin!(Self::ask(&request, content, verb, deadline));
                deadline.bound(&request.name, asking).await?
            };
            Ok(Self {
                request,
                expected,
                deadline,
            })
        }
    }

    #[expect(
        clippy::manual_async_fn,
        reason = "an async function keeps a second copy of all that it is given"
    )]
    fn ask(
        request: &Checked,
        content: Content,
        verb: Verb,
        deadline: Deadline,
    ) -> impl Future<Output = Result<PendingReply>> {
        async move {
            request.check_verb(verb).await?;
            let expected = request.session().connection.inbox.expect().await?;
            let headers = RequestHeaders {
                timeout_ms: Some(deadline.milliseconds_left()),
                probe: true,
                ..RequestHeaders::default()
            };
            let sent = request.publish(content, Some(expected.subject()), headers);
            sent.await?;
            Ok(expected)
        }
    }

    pub(super) async fn reply<Out: DeserializeOwned + 'static>(&mut self) -> Result<Out> {
        let reply = match tokio::time::timeout_at(self.deadline.at, self.expected.reply()).await {
            Ok(reply) => reply.map_err(|error| self.request.about(error))?,
            Err(_) => return Err(self.timed_out()),
        };
        if reply.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(self.request.nobody_serves().await);
        }
        // What the agent answered says itself whom it is about.
        reply::decode(&reply).map_err(|error| match error.request_id() {
            Some(_) => error,
            None => self.request.about(error),
        })
    }

    fn timed_out(&self) -> Error {
        self.request
            .timed_out(format_args!("did not answer {}", self.deadline))
    }
}

impl<Out: DeserializeOwned + 'static> IntoFuture for Call<Out> {
    type Output = Result<Out>;
    type IntoFuture = BoxFuture<'static, Result<Out>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self {
            request, timeout, ..
        } = self;
        let calling = async move {
            let mut sent = Sent::send(request, Verb::Call, timeout).await?;
            sent.reply().await
        };
        calling.boxed()
    }
}
