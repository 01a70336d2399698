//! `subscribe`: events of an agent, a channel or a subject.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use openagentmesh_protocol::{AgentName, Verb, subject};

use super::events::{Decode, Events, Receiving, Scope, json, raw};
use super::from_reply::FromReply;
use super::handle::Client;
use super::request::{confirm_mismatch, mismatch};
use crate::error::{Error, Result};
use crate::transport::{self, Action};
use crate::util::deferred::Deferred;

/// The limit of the start of a subscription at the server.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(5);

impl Client {
    /// Subscribes to the events of agent `name`.
    ///
    /// Awaiting the [`Subscribe`] returns [`Events`], a stream that ends when the agent does.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// let mut prices = mesh.subscribe::<f64>("market.prices").await?;
    /// while let Some(price) = prices.next().await {
    ///     println!("{}", price?.data);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe<T: FromReply + Send>(&self, name: impl AsRef<str>) -> Subscribe<T> {
        let agent = AgentName::new(name.as_ref()).map(Target::Agent);
        Subscribe::new(self, agent.map_err(Error::from))
    }

    /// Subscribes to the events of all agents in `channel`, later ones included.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// let mut events = mesh.subscribe_channel::<serde_json::Value>("market").await?;
    /// while let Some(event) = events.next().await {
    ///     let event = event?;
    ///     println!("{}: {}", event.subject(), event.data);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe_channel<T: FromReply + Send>(&self, channel: impl AsRef<str>) -> Subscribe<T> {
        let channel = AgentName::new(channel.as_ref()).map(Target::Channel);
        Subscribe::new(self, channel.map_err(Error::from))
    }

    /// Subscribes to all messages on `subject`. Wildcards are allowed: `*` for one segment, `>` for all
    /// segments that follow.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// let mut failures = mesh.subscribe_subject::<serde_json::Value>("mesh.errors.>").await?;
    /// while let Some(failure) = failures.next().await {
    ///     println!("{}", failure?.data["message"]);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe_subject<T: FromReply + Send>(&self, subject: impl AsRef<str>) -> Subscribe<T> {
        let subject = subject.as_ref();
        let target = transport::check_subject(subject, true);
        Subscribe::new(self, target.map(|()| Target::Subject(subject.to_owned())))
    }
}

/// A subscription. A future: the subscription starts when it is first polled. Made by
/// [`Client::subscribe`], [`Client::subscribe_channel`] and [`Client::subscribe_subject`]. The options must
/// be given before the first poll.
///
/// # Errors
///
/// Awaiting it fails with
///
/// * `invocation_mismatch` when the agent publishes no events; the message names the verb that fits;
/// * `not_found` when there is no such agent;
/// * `invalid_input` when the agent name or the subject is invalid;
/// * `connection_denied` when the server does not permit the subscription;
/// * `connection_failed` when the connection is closed, the catalog cannot be read, or the server does
///   not respond within 5 s.
///
/// # Cancel safety
///
/// Dropping the future ends the subscription.
#[must_use = "a subscription starts when it is awaited"]
pub struct Subscribe<T>(Deferred<'static, Parts, Result<Events<T>>>);

struct Parts {
    client: Client,
    target: Result<Target>,
    timeout: Option<Duration>,
    /// Whether an agent must be listed.
    must_exist: bool,
}

/// The source of the events.
enum Target {
    Agent(AgentName),
    Channel(AgentName),
    Subject(String),
}

impl<T: FromReply + Send> Subscribe<T> {
    fn new(client: &Client, target: Result<Target>) -> Self {
        let parts = Parts {
            client: client.clone(),
            target,
            timeout: None,
            must_exist: true,
        };
        Self(Deferred::new(parts, |parts| parts.open(json).boxed()))
    }
}

impl<T> Subscribe<T> {
    /// Sets the time to wait for each event: no limit by default. If no event arrives in time, the events end
    /// with a `timeout` error.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.change(|parts| parts.timeout = Some(timeout));
        self
    }

    /// Subscribes to an agent without looking for it in the catalog: for an agent that is registered afterwards, so that
    /// none of its events is missed. The subscription then fails neither with `not_found` nor with
    /// `invocation_mismatch`.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh, ticks: openagentmesh::Agent) -> openagentmesh::Result<()> {
    /// let mut events = mesh.subscribe::<u64>("clock.ticks").expected().await?;
    /// mesh.register(ticks).await?;
    /// let first = events.next().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn expected(mut self) -> Self {
        self.0.change(|parts| parts.must_exist = false);
        self
    }

    /// Returns the bytes of the events without decoding them.
    pub fn raw(self) -> RawSubscribe {
        RawSubscribe(Deferred::of(self.0.into_parts(), |parts| {
            parts.open(raw).boxed()
        }))
    }
}

impl Parts {
    async fn open<T: 'static>(self, decode: Decode<T>) -> Result<Events<T>> {
        let session = self.client.clone();
        match tokio::time::timeout(SUBSCRIBE_TIMEOUT, self.start(decode)).await {
            Ok(events) => events,
            Err(_) => Err(transport::closed(format!(
                "the server did not respond within {SUBSCRIBE_TIMEOUT:?}{}",
                session.session().connection.lost()
            ))),
        }
    }

    async fn start<T: 'static>(self, decode: Decode<T>) -> Result<Events<T>> {
        let target = self.target?;
        self.client.session().connection.check_attached()?;
        let subject = match &target {
            Target::Agent(name) => {
                if self.must_exist {
                    check(&self.client, name).await?;
                }
                subject::events(name)
            }
            // No wildcard selects only `<agent>.events`. Requests are filtered out later.
            Target::Channel(channel) => format!("{}.>", subject::agent(channel)),
            Target::Subject(subject) => subject.clone(),
        };
        let connection = &self.client.session().connection;
        let own = subject.clone();
        let mut denied = connection
            .denials
            .watch(move |denial| denial.denies(Action::Subscribe, &own));
        let subscriber = connection.subscribe(subject.clone(), None).await?;
        let mut receiving = Receiving::new(
            subscriber,
            subject,
            connection.monitor(),
            self.timeout,
            match target {
                Target::Agent(_) => Scope::Agent,
                Target::Channel(_) => Scope::Channel,
                Target::Subject(_) => Scope::Subject,
            },
            decode,
        );
        // The server must know the subscription before this returns, so that no later event is missed.
        connection.await_verdict(&mut denied).await?;
        receiving.set_denied(denied);
        Ok(Events::new(receiving))
    }
}

/// A [`Subscribe`] that returns bytes; made by [`Subscribe::raw`].
#[must_use = "a subscription starts when it is awaited"]
pub struct RawSubscribe(Deferred<'static, Parts, Result<Events<Bytes>>>);

/// Checks that agent `name` exists and publishes events, by the catalog or its contract.
async fn check(client: &Client, name: &AgentName) -> Result<()> {
    let session = client.session();
    let directory = &session.directory;
    // A subscription to an agent that has left would wait for ever.
    let listed = match directory.listed_capabilities(name).await {
        Some(capabilities) => Some(capabilities),
        // The agent may be newer than the cache, and the catalog may lack it or be malformed.
        None => match (
            directory.contracted(name).await,
            directory.entry(name).await,
        ) {
            (Some(contracted), _) => {
                return mismatch(name, contracted, Verb::Subscribe).map_or(Ok(()), Err);
            }
            (None, entry) => entry?.map(|entry| entry.capabilities()),
        },
    };
    let Some(listed) = listed else {
        return Err(directory.not_found(name));
    };
    match mismatch(name, listed, Verb::Subscribe) {
        Some(known) => confirm_mismatch(session, name, known, Verb::Subscribe).await,
        None => Ok(()),
    }
}

impl<T> Future for Subscribe<T> {
    type Output = Result<Events<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}

impl Future for RawSubscribe {
    type Output = Result<Events<Bytes>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}
