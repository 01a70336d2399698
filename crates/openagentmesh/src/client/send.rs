use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::{Message, StatusCode, Subscriber};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use openagentmesh_protocol::envelope::is_probe;
use openagentmesh_protocol::{ErrorCode, RequestHeaders, Verb, subject};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::call::Sent;
use super::deadline::Deadline;
use super::request::{Checked, Content, Request};
use super::{Client, reply};
use crate::error::{Error, Result};
use crate::transport::{self, Received};

/// How long a reply is waited for, unless the request says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// A request whose sender goes on, sent when it is awaited; made by [`Client::send`].
///
/// The reply goes where one of these says, and nowhere without:
///
/// * [`on_reply`](Self::on_reply) and [`on_error`](Self::on_error): to a function;
/// * [`reply`](Self::reply): to a [`Reply`], which can be awaited later;
/// * [`reply_to`](Self::reply_to): to a subject.
///
/// # Errors
///
/// Awaiting it fails with
///
/// * `invocation_mismatch` before anything is sent, when the agent streams, publishes or runs in the
///   background; the message says which verb fits;
/// * `payload_too_large` before anything is sent, when the input does not fit the server;
/// * `invalid_input` when the name is no agent name, the input cannot be JSON, a header or the reply
///   subject cannot be sent, or the reply is asked for in two ways;
/// * `connection_failed` when the connection is closed.
///
/// Without a reply, whether anybody serves the agent stays unknown.
///
/// # Cancel safety
///
/// Dropping the future sends the request or does not.
#[must_use = "a request is sent when it is awaited"]
pub struct SendRequest<R = ()> {
    request: Request,
    timeout: Duration,
    reply_to: Option<Result<String>>,
    on_reply: Option<OnReply>,
    on_error: Option<OnError>,
    outcome: PhantomData<fn() -> R>,
}

type OnReply = Box<dyn FnOnce(Message) -> Result<BoxFuture<'static, ()>> + Send>;
type OnError = Box<dyn FnOnce(Error) -> BoxFuture<'static, ()> + Send>;

impl SendRequest {
    pub(super) fn new(client: &Client, name: &str, input: &impl Serialize) -> Self {
        Self {
            request: Request::new(client, name, input),
            timeout: DEFAULT_TIMEOUT,
            reply_to: None,
            on_reply: None,
            on_error: None,
            outcome: PhantomData,
        }
    }

    /// Runs `function` with the reply when it comes, in a task of its own.
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
        Out: DeserializeOwned + 'static,
        F: FnOnce(Out) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.on_reply = Some(Box::new(move |message| {
            let output = reply::decode(&message)?;
            Ok(function(output).boxed())
        }));
        self
    }

    /// Runs `function` instead, when the agent fails, nobody serves it, or no reply comes in time.
    /// Without it, that is logged as a warning.
    pub fn on_error<F, Fut>(mut self, function: F) -> Self
    where
        F: FnOnce(Error) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.on_error = Some(Box::new(move |error| function(error).boxed()));
        self
    }

    /// Has the reply sent to `subject`, where anybody may take it.
    pub fn reply_to(mut self, subject: impl AsRef<str>) -> Self {
        let subject = subject.as_ref();
        self.reply_to = Some(transport::check_subject(subject, false).map(|()| subject.to_owned()));
        self
    }

    /// Gives a [`Reply`] when the request is sent, which can be awaited later, or dropped.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// let summary = mesh.send("nlp.summarizer", "a long text").reply::<String>().await?;
    /// println!("meanwhile …");
    /// println!("{}", summary.await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reply<Out>(self) -> SendRequest<Reply<Out>> {
        SendRequest {
            request: self.request,
            timeout: self.timeout,
            reply_to: self.reply_to,
            on_reply: self.on_reply,
            on_error: self.on_error,
            outcome: PhantomData,
        }
    }

    async fn run(self) -> Result<()> {
        refuse_two_ways(&self, "on_reply")?;
        if self.on_reply.is_none() && self.on_error.is_none() {
            return self.forget().await;
        }
        let (on_reply, on_error) = (self.on_reply, self.on_error);
        let mut waiting = Awaited::send(self.request, self.timeout).await?;
        tokio::spawn(async move {
            let outcome = waiting.message().await;
            let running = match (outcome, on_reply) {
                (Ok(message), Some(on_reply)) => on_reply(message),
                (Ok(message), None) => reply::decode::<serde::de::IgnoredAny>(&message)
                    .map(|_| std::future::ready(()).boxed()),
                (Err(error), _) => Err(error),
            };
            match (running, on_error) {
                (Ok(running), _) => running.await,
                (Err(error), Some(on_error)) => on_error(error).await,
                (Err(error), None) => {
                    tracing::warn!(code = %error.code(), %error, "a request that was sent failed");
                }
            }
        });
        Ok(())
    }

    /// Sends it to whom it concerns, and never hears of it again.
    async fn forget(self) -> Result<()> {
        let reply_to = self.reply_to.transpose()?;
        let deadline = self.request.deadline(self.timeout);
        let (request, content) = self.request.check()?;
        let asking = pin!(async {
            request.check_verb(Verb::Send).await?;
            let headers = RequestHeaders {
                reply_to: reply_to.clone(),
                ..RequestHeaders::default()
            };
            request.publish(content, reply_to, headers).await
        });
        deadline.bound(&request.name, asking).await
    }
}

impl<R> SendRequest<R> {
    /// How long a reply is waited for: 60 s if nothing is given. The host knows it and gives up at
    /// the same time.
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

impl<Out: DeserializeOwned + 'static> SendRequest<Reply<Out>> {
    async fn run(self) -> Result<Reply<Out>> {
        refuse_two_ways(&self, "reply")?;
        if self.on_reply.is_some() || self.on_error.is_some() {
            return Err(two_ways("reply", "on_reply or on_error"));
        }
        let mut sent = Sent::send(self.request, Verb::Send, self.timeout).await?;
        Ok(Reply(async move { sent.reply().await }.boxed()))
    }
}

fn refuse_two_ways<R>(request: &SendRequest<R>, way: &str) -> Result<()> {
    let asked = way == "reply" || request.on_reply.is_some() || request.on_error.is_some();
    if asked && request.reply_to.is_some() {
        return Err(two_ways(way, "reply_to"));
    }
    Ok(())
}

fn two_ways(one: &str, other: &str) -> Error {
    Error::raised(
        ErrorCode::InvalidInput,
        format!("the reply can go one way only: choose between {one} and {other}"),
    )
}

impl IntoFuture for SendRequest {
    type Output = Result<()>;
    type IntoFuture = BoxFuture<'static, Result<()>>;

    fn into_future(self) -> Self::IntoFuture {
        self.run().boxed()
    }
}

impl<Out: DeserializeOwned + 'static> IntoFuture for SendRequest<Reply<Out>> {
    type Output = Result<Reply<Out>>;
    type IntoFuture = BoxFuture<'static, Result<Reply<Out>>>;

    fn into_future(self) -> Self::IntoFuture {
        self.run().boxed()
    }
}

/// A reply that is on its way; made by [`SendRequest::reply`].
///
/// Awaiting it gives the output, or fails as a [`Call`](super::Call) does once it is sent. It keeps
/// what arrives until then.
///
/// # Cancel safety
///
/// Dropping it ends the work at the host.
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

/// A request whose reply goes to a subject of its own, on which the host's probes come too: while it
/// is subscribed to, somebody waits.
struct Awaited {
    request: Checked,
    replies: Subscriber,
    deadline: Deadline,
}

impl Awaited {
    async fn send(request: Request, timeout: Duration) -> Result<Self> {
        let deadline = request.deadline(timeout);
        let (request, content) = request.check()?;
        let replies = {
            let asking = pin!(Self::ask(&request, content, deadline));
            deadline.bound(&request.name, asking).await?
        };
        Ok(Self {
            request,
            replies,
            deadline,
        })
    }

    async fn ask(request: &Checked, content: Content, deadline: Deadline) -> Result<Subscriber> {
        request.check_verb(Verb::Send).await?;
        let subject = subject::results(&request.id);
        let client = &request.session().connection.client;
        let replies = client
            .subscribe(subject.clone())
            .await
            .map_err(|error| request.about(transport::closed(error.to_string())))?;
        let headers = RequestHeaders {
            timeout_ms: Some(deadline.milliseconds_left()),
            probe: true,
            ..RequestHeaders::default()
        };
        request.publish(content, Some(subject), headers).await?;
        Ok(replies)
    }

    /// The reply, or why there is none.
    async fn message(&mut self) -> Result<Message> {
        loop {
            match tokio::time::timeout_at(self.deadline.at, self.replies.next()).await {
                Err(_) => {
                    let what = format_args!("did not answer {}", self.deadline);
                    return Err(self.request.timed_out(what));
                }
                Ok(None) => {
                    let closed = transport::closed("it was closed before the reply came");
                    return Err(self.request.about(closed));
                }
                Ok(Some(message)) if is_probe(&Received(message.headers.as_ref())) => {}
                Ok(Some(message)) if message.status == Some(StatusCode::NO_RESPONDERS) => {
                    return Err(self.request.nobody_serves().await);
                }
                Ok(Some(message)) => return Ok(message),
            }
        }
    }
}
