//! `send`: one request, and a reply that its sender need not await.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::Message;
use futures::FutureExt;
use futures::future::BoxFuture;
use openagentmesh_protocol::{ErrorCode, RequestHeaders, RequestId, Verb, Visible};
use serde::Serialize;

use super::from_reply::FromReply;
use super::handle::Client;
use super::local;
use super::reply;
use super::request::Request;
use super::retry::{Attempts, Retry};
use super::sent::{ReplySubject, Sent};
use crate::error::{Error, Result};
use crate::transport;
use crate::util::deferred::Deferred;

/// The timeout of a reply if none is given.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

impl Client {
    /// Sends `input` to agent `name` without waiting for the reply.
    ///
    /// The reply is dropped by default. Before it is awaited, the returned [`SendRequest`] can direct it to a
    /// subject, a callback, or a handle.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// mesh.send("audit.log", "something happened").await?;
    ///
    /// mesh.send("nlp.summarizer", "a long text")
    ///     .on_reply(|summary: String| async move { println!("{summary}") })
    ///     .on_error(|error| async move { eprintln!("no summary: {error}") })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send(&self, name: impl AsRef<str>, input: impl Serialize) -> SendRequest {
        let parts = Parts {
            request: Request::new(self, Verb::Send, name.as_ref(), &input),
            timeout: self.session().request_timeout.unwrap_or(DEFAULT_TIMEOUT),
            retry: None,
            reply_to: None,
            on_reply: None,
            on_error: None,
        };
        SendRequest(Deferred::new(parts, |parts| parts.run().boxed()))
    }
}

/// A request whose sender does not wait for the reply. A future: the request is sent when it is first
/// polled. Made by [`Client::send`]. The options must be given before the first poll.
///
/// The reply is dropped unless one of these directs it:
///
/// * [`on_reply`](Self::on_reply) and [`on_error`](Self::on_error): to a callback;
/// * [`reply`](Self::reply): to a [`Reply`], which can be awaited later;
/// * [`reply_to`](Self::reply_to): to a subject.
///
/// # Errors
///
/// Awaiting it fails with
///
/// * `invocation_mismatch` before anything is sent, when the agent streams, publishes or runs in the
///   background; the message names the verb that fits;
/// * `payload_too_large` before anything is sent, when the input exceeds the server's limit;
/// * `invalid_input` when the agent name, a header or the reply subject is invalid, the input cannot be
///   written as JSON, or the reply is directed twice;
/// * the error of a client [`Interceptor`](crate::Interceptor) that refuses the request;
/// * `connection_denied` when the server does not permit the request;
/// * `connection_failed` when the connection is closed. While the connection is lost, the request waits for it within
///   its timeout and then fails with this code; it is not sent later.
///
/// Without a reply, an unserved request is not reported.
///
/// # Cancel safety
///
/// A dropped future may or may not have sent the request.
#[must_use = "a request is sent when it is awaited"]
pub struct SendRequest<R = ()>(Deferred<'static, Parts, Result<R>>);

struct Parts {
    request: Request,
    timeout: Duration,
    retry: Option<Retry>,
    reply_to: Option<Result<String>>,
    on_reply: Option<OnReply>,
    on_error: Option<OnError>,
}

type OnReply = Box<dyn FnOnce(Message) -> Result<BoxFuture<'static, ()>> + Send>;
type OnError = Box<dyn FnOnce(Error) -> BoxFuture<'static, ()> + Send>;

impl SendRequest {
    /// Runs `function` with the reply, in a new task.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// mesh.send("echo", "hello")
    ///     .on_reply(|text: String| async move { println!("{text}") })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_reply<Out, F, Fut>(mut self, function: F) -> Self
    where
        Out: FromReply,
        F: FnOnce(Out) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let on_reply = move |message: Message| {
            let output = reply::decode(&message)?;
            Ok(function(output).boxed())
        };
        self.0
            .change(|parts| parts.on_reply = Some(Box::new(on_reply)));
        self
    }

    /// Runs `function` when the agent fails, no process serves it, its host dies (`agent_died`), or no reply arrives in
    /// time. Without it, the error is logged as a warning.
    pub fn on_error<F, Fut>(mut self, function: F) -> Self
    where
        F: FnOnce(Error) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let on_error = move |error| function(error).boxed();
        self.0
            .change(|parts| parts.on_error = Some(Box::new(on_error)));
        self
    }

    /// Directs the reply to `subject`.
    pub fn reply_to(mut self, subject: impl AsRef<str>) -> Self {
        let subject = subject.as_ref();
        let checked = transport::check_subject(subject, false).map(|()| subject.to_owned());
        self.0.change(|parts| parts.reply_to = Some(checked));
        self
    }

    /// Makes awaiting the request return a [`Reply`], which can be awaited later.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// let summary = mesh.send("nlp.summarizer", "a long text").reply::<String>().await?;
    /// println!("waiting …");
    /// println!("{}", summary.await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reply<Out: FromReply>(self) -> SendRequest<Reply<Out>> {
        let parts = self.0.into_parts();
        SendRequest(Deferred::of(parts, |parts| parts.run_with_reply().boxed()))
    }
}

impl Parts {
    async fn run(self) -> Result<()> {
        check_one_way(&self, "on_reply")?;
        if self.on_reply.is_none() && self.on_error.is_none() {
            return self.send_only().await;
        }
        let (on_reply, on_error) = (self.on_reply, self.on_error);
        let timeout = self.timeout;
        let (request, attempts) = first_attempt(self.request, self.retry, timeout);
        let mut sent = Sent::send(request, ReplySubject::Results, timeout).await?;
        tokio::spawn(async move {
            let reply = match attempts {
                None => sent.message().await,
                Some(attempts) => any_message(&mut sent, attempts, timeout).boxed().await,
            };
            let callback = match (reply, on_reply) {
                (Ok(message), Some(on_reply)) => on_reply(message),
                (Ok(message), None) => reply::decode::<serde::de::IgnoredAny>(&message)
                    .map(|_| std::future::ready(()).boxed()),
                (Err(error), _) => Err(error),
            };
            let callback = sent.finish(callback);
            // A callback may take long; further messages to the reply subject must not wait for its end.
            drop(sent);
            match (callback, on_error) {
                (Ok(callback), _) => callback.await,
                (Err(error), Some(on_error)) => on_error(error).await,
                (Err(error), None) => {
                    tracing::warn!(code = %Visible(error.code()), %error, "request failed");
                }
            }
        });
        Ok(())
    }

    /// Sends the request without a reply, or with one to `reply_to`.
    async fn send_only(self) -> Result<()> {
        let reply_to = self.reply_to.transpose()?;
        let deadline = self.request.deadline(self.timeout);
        let (mut request, content) = self.request.check()?;
        let published = {
            let publishing = pin!(async {
                let headers = RequestHeaders {
                    reply_to: reply_to.clone(),
                    ..RequestHeaders::default()
                };
                if let Some(answers) = &request.session().answers {
                    return local::send(&**answers, &request, content, headers, deadline);
                }
                request.check_verb().await?;
                let publishing = request.publish(content, reply_to, headers);
                let connection = &request.session().connection;
                connection.confirm(&request.subject, publishing).await
            });
            deadline
                .bound(&request.name, &request.session().connection, publishing)
                .await
        };
        request.interception.finish(published)
    }

    async fn run_with_reply<Out: FromReply>(self) -> Result<Reply<Out>> {
        check_one_way(&self, "reply")?;
        if self.on_reply.is_some() || self.on_error.is_some() {
            return Err(two_ways("reply", "on_reply or on_error"));
        }
        let timeout = self.timeout;
        let (request, attempts) = first_attempt(self.request, self.retry, timeout);
        let mut sent = Sent::send(request, ReplySubject::Inbox, timeout).await?;
        let reply = async move {
            let Some(mut attempts) = attempts else {
                return sent.reply().await;
            };
            loop {
                // Not kept across a wait: the output need not be `Send`.
                let mut error = match sent.reply().await {
                    Ok(reply) => return Ok(reply),
                    Err(error) => error,
                };
                loop {
                    attempts.wait(error).await?;
                    match Sent::send(attempts.next(), ReplySubject::Inbox, timeout).await {
                        Ok(next) => {
                            sent = next;
                            break;
                        }
                        Err(failed) => error = failed,
                    }
                }
            }
        };
        Ok(Reply(reply.boxed()))
    }
}

/// The message of the reply to `sent`, or by further attempts when the request fails.
async fn any_message(
    sent: &mut Sent,
    mut attempts: Attempts,
    timeout: Duration,
) -> Result<Message> {
    loop {
        let mut failure = match sent.message().await.and_then(reply::accept) {
            Ok(message) => return Ok(message),
            Err(error) => sent.finish::<()>(Err(error)).err(),
        };
        while let Some(error) = failure {
            attempts.wait(error).await?;
            failure = match Sent::send(attempts.next(), ReplySubject::Results, timeout).await {
                Ok(next) => {
                    *sent = next;
                    None
                }
                Err(error) => Some(error),
            };
        }
    }
}

/// The request as the first attempt, and the further ones if there are to be any.
fn first_attempt(
    request: Request,
    retry: Option<Retry>,
    timeout: Duration,
) -> (Request, Option<Attempts>) {
    let Some(retry) = retry else {
        return (request, None);
    };
    let deadline = request.deadline(timeout);
    match Attempts::start(request, retry, Some(deadline)) {
        Ok(mut attempts) => (attempts.next(), Some(attempts)),
        // Fails when it is sent.
        Err(invalid) => (*invalid, None),
    }
}

impl<R> SendRequest<R> {
    /// Sets the time to wait for the reply: 60 s by default. The host is sent the timeout and cancels the
    /// request at the same time. Exception: without a callback or a handle, this process waits for no reply, and the
    /// handler runs to its end.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.change(|parts| parts.timeout = timeout);
        self
    }

    /// Sends the request again when it fails in a way that is safe to repeat; see [`Retry`]. The timeout bounds all
    /// attempts together.
    /// Without a callback or a [`Reply`], failures of the agent are not known, so that nothing is retried.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.0.change(|parts| parts.retry = Some(retry));
        self
    }

    /// The id of the request, by which log lines and error records of the host refer to it. `None` once the request was
    /// polled. Further attempts of a request with retries have other ids.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// let request = mesh.send("audit.log", "something happened");
    /// println!("sending request {:?}", request.request_id());
    /// request.await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn request_id(&self) -> Option<&RequestId> {
        Some(self.0.parts()?.request.id())
    }

    /// Adds a header to the request. Names that begin with `X-Mesh-` or `Nats-` are reserved.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.0
            .change(|parts| parts.request.header(name.as_ref(), value.as_ref()));
        self
    }
}

/// # Errors
///
/// `invalid_input` when the reply is directed to `way` and to a subject.
fn check_one_way(request: &Parts, way: &str) -> Result<()> {
    let is_used = way == "reply" || request.on_reply.is_some() || request.on_error.is_some();
    if is_used && request.reply_to.is_some() {
        return Err(two_ways(way, "reply_to"));
    }
    Ok(())
}

fn two_ways(one: &str, other: &str) -> Error {
    Error::raised(
        ErrorCode::InvalidInput,
        format!("conflicting options {one} and {other}: a reply goes to one place; remove one"),
    )
}

impl<R> Future for SendRequest<R> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}

/// A pending reply; made by [`SendRequest::reply`].
///
/// Awaiting it returns the output, or fails as a [`Call`](crate::Call) does once it is sent. A reply that
/// arrives earlier is kept until then.
///
/// # Cancel safety
///
/// Dropping it cancels the request at the host.
#[must_use = "dropping a reply cancels the request"]
pub struct Reply<Out>(BoxFuture<'static, Result<Out>>);

impl<Out> Future for Reply<Out> {
    type Output = Result<Out>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_unpin(cx)
    }
}

impl<Out> std::fmt::Debug for Reply<Out> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}
