//! `call`: one request, one reply.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::Either;
use futures::{FutureExt, TryFutureExt};
use openagentmesh_protocol::Verb;
use serde::Serialize;

use super::from_reply::FromReply;
use super::handle::Client;
use super::request::Request;
use super::retry::{Attempts, Retry};
use super::sent::{ReplySubject, Sent};
use crate::error::Result;
use crate::util::deferred::Deferred;

/// The timeout of a call if none is given.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

impl Client {
    /// Calls agent `name` with `input` and waits for its single reply.
    ///
    /// `input` is any serialisable value, `()` for an agent without an input. The reply is decoded as `Out`;
    /// [`serde_json::Value`] takes any reply. Before it is awaited, the returned [`Call`] can be given a
    /// timeout and headers. It also lists the errors.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// use std::time::Duration;
    ///
    /// let text: String = mesh.call("echo", "hello").await?;
    /// let any = mesh
    ///     .call::<serde_json::Value>("nlp.summarizer", serde_json::json!({"text": text}))
    ///     .timeout(Duration::from_secs(5))
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn call<Out: FromReply>(&self, name: impl AsRef<str>, input: impl Serialize) -> Call<Out> {
        let parts = Parts {
            request: Request::new(self, Verb::Call, name.as_ref(), &input),
            timeout: self.session().request_timeout.unwrap_or(DEFAULT_TIMEOUT),
            retry: None,
        };
        Call(Deferred::new(parts, |parts| parts.run().boxed()))
    }
}

/// A call, which is a future: it is sent when it is first polled. Made by [`Client::call`].
///
/// It can be awaited, spawned, joined and selected. The options must be given before the first poll;
/// later ones have no effect.
///
/// ```no_run
/// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
/// use futures::future::try_join_all;
///
/// let (short, long) = tokio::try_join!(
///     mesh.call::<String>("echo", "a"),
///     mesh.call::<String>("echo", "abc"),
/// )?;
/// let replies: Vec<String> = try_join_all(["a", "b"].map(|text| mesh.call("echo", text))).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Awaiting it fails with
///
/// * `invocation_mismatch` before anything is sent, when the agent streams, publishes or runs in the
///   background; the message names the verb that fits;
/// * `not_found` at once when no process serves the name, with similar names of the catalog in
///   `details.similar`; `not_available` when the catalog lists the name nevertheless;
/// * `timeout` when no reply arrived in time; the host then drops the handler;
/// * `agent_died` when the host that works on the call is dead, with its instance in `details.instance_id`: its
///   connection is gone, or it has sent no probe for 5.6 s, as a frozen process. A host probes a call from 100 ms on;
///   the death of a host within that time is found by what the other hosts do not have. The handler may have run: call again
///   only if the agent is idempotent. A host whose handlers block all threads of their runtime counts as frozen;
/// * `payload_too_large` before anything is sent, when the input exceeds the server's limit; from the host,
///   when the input takes too much time or memory to be decoded and checked;
/// * `invalid_input` when the agent name or a header is invalid, the input cannot be written as JSON, or the
///   agent refused the input: `details.errors` then lists up to 20 problems, and `details.omitted` counts the others;
/// * `unexpected_reply` when the reply does not fit `Out` or cannot be read;
/// * `handler_error`, and any other code with which the agent replies;
/// * the error of a client [`Interceptor`](crate::Interceptor) that refuses the call;
/// * `connection_denied` when the server does not permit the request, or the subscription to replies;
/// * `connection_failed` when the connection is closed, or its NATS client died while the reply was pending. While the
///   connection is lost, the call waits for it within its timeout and then fails with this code; it is not sent later.
///
/// # Cancel safety
///
/// Dropping the future cancels the request at the host: the handler is dropped. A host of the published
/// Python SDK runs it to its end.
#[must_use = "a call is sent when it is awaited"]
pub struct Call<Out>(Deferred<'static, Parts, Result<Out>>);

struct Parts {
    request: Request,
    timeout: Duration,
    retry: Option<Box<Retry>>,
}

impl<Out> Call<Out> {
    /// Sets the time to wait for the reply: 30 s by default. The deadline of the request that a handler serves
    /// bounds it. The host is sent the timeout and cancels the request at the same time.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.change(|parts| parts.timeout = timeout);
        self
    }

    /// Sends the request again when it fails in a way that is safe to repeat; see [`Retry`]. The timeout bounds all
    /// attempts together.
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
    fn run<Out: FromReply>(self) -> impl Future<Output = Result<Out>> + Send {
        let Self {
            mut request,
            timeout,
            retry,
        } = self;
        if let Some(retry) = retry {
            let deadline = request.deadline(timeout);
            match Attempts::start(request, *retry, Some(deadline)) {
                Ok(attempts) => return Either::Left(repeat(attempts, timeout).boxed()),
                Err(invalid) => request = *invalid,
            }
        }
        // An async block would keep room for both futures, and for the request.
        let sent = Sent::send(request, ReplySubject::Inbox, timeout);
        Either::Right(sent.and_then(|mut sent| async move { sent.reply().await }))
    }
}

/// Calls until there is a reply, or an error that is not retried.
async fn repeat<Out: FromReply>(mut attempts: Attempts, timeout: Duration) -> Result<Out> {
    loop {
        let request = attempts.next();
        let attempt = async {
            let mut sent = Sent::send(request, ReplySubject::Inbox, timeout).await?;
            sent.reply().await
        };
        // Not kept across a wait: the output need not be `Send`.
        let error = match attempt.await {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        attempts.wait(error).await?;
    }
}

impl<Out> Future for Call<Out> {
    type Output = Result<Out>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn future_of_a_call_is_smaller_than_1_kib() {
        fn size_of_future<F>(_: impl Fn(Parts) -> F) -> usize {
            size_of::<F>()
        }
        let size = size_of_future(Parts::run::<String>);
        assert!(size < 1024, "{size} bytes");
    }
}
