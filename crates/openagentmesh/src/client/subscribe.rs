use std::future::IntoFuture;
use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use openagentmesh_protocol::{AgentName, Verb, subject};
use serde::de::DeserializeOwned;

use super::events::{Decode, Events, Receiving, Scope, json, raw};
use super::{Client, mismatch};
use crate::catalog;
use crate::error::{Error, Result};
use crate::transport;

/// How long the server may take until a subscription has begun.
const PATIENCE: Duration = Duration::from_secs(5);

/// A subscription that begins when it is awaited; made by [`Client::subscribe`] and its kin.
///
/// # Errors
///
/// Awaiting it fails with
///
/// * `invocation_mismatch` when the agent publishes no events; the message says which verb fits;
/// * `not_found` when there is no such agent;
/// * `invalid_input` when the name is no agent name, or the subject none;
/// * `connection_failed` when the connection is closed, the catalog cannot be read, or the server does
///   not answer within 5 s.
///
/// # Cancel safety
///
/// Dropping the future leaves nothing behind.
#[must_use = "a subscription begins when it is awaited"]
pub struct Subscribe<T> {
    client: Client,
    target: Result<Target>,
    timeout: Option<Duration>,
    data: PhantomData<fn() -> T>,
}

/// Where events come from.
enum Target {
    Agent(AgentName),
    Channel(AgentName),
    Subject(String),
}

impl<T: 'static> Subscribe<T> {
    pub(super) fn to_agent(client: &Client, name: &str) -> Self {
        Self::new(
            client,
            AgentName::new(name).map(Target::Agent).map_err(Error::from),
        )
    }

    pub(super) fn to_channel(client: &Client, channel: &str) -> Self {
        Self::new(
            client,
            AgentName::new(channel)
                .map(Target::Channel)
                .map_err(Error::from),
        )
    }

    pub(super) fn to_subject(client: &Client, subject: &str) -> Self {
        Self::new(
            client,
            transport::check_subject(subject, true).map(|()| Target::Subject(subject.to_owned())),
        )
    }

    fn new(client: &Client, target: Result<Target>) -> Self {
        Self {
            client: client.clone(),
            target,
            timeout: None,
            data: PhantomData,
        }
    }

    /// How long to wait for each event: for ever if nothing is given. When it is over, the events
    /// end with a `timeout` error.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Takes the events' bytes as they are, whatever they are.
    pub fn raw(self) -> RawSubscribe {
        RawSubscribe(Subscribe {
            client: self.client,
            target: self.target,
            timeout: self.timeout,
            data: PhantomData,
        })
    }

    async fn open(self, decode: Decode<T>) -> Result<Events<T>> {
        match tokio::time::timeout(PATIENCE, self.begin(decode)).await {
            Ok(events) => events,
            Err(_) => Err(transport::closed(format!(
                "the server did not answer within {PATIENCE:?}"
            ))),
        }
    }

    async fn begin(self, decode: Decode<T>) -> Result<Events<T>> {
        let target = self.target?;
        let subject = match &target {
            Target::Agent(name) => {
                check(&self.client, name).await?;
                subject::events(name)
            }
            // Events cannot be told from invocations by a wildcard, which ends a subject.
            Target::Channel(channel) => format!("{}.>", subject::agent(channel)),
            Target::Subject(subject) => subject.clone(),
        };
        let subscriber = self
            .client
            .session()
            .connection
            .client
            .subscribe(subject.clone())
            .await
            .map_err(|error| transport::closed(error.to_string()))?;
        let receiving = Receiving::new(
            subscriber,
            subject,
            self.timeout,
            match target {
                Target::Agent(_) => Scope::Agent,
                Target::Channel(_) => Scope::Channel,
                Target::Subject(_) => Scope::Subject,
            },
            decode,
        );
        // From here on, what is published anywhere is taken: the server knows.
        self.client.session().connection.synchronize().await?;
        Ok(Events::new(receiving))
    }
}

/// A [`Subscribe`] that takes bytes; made by [`Subscribe::raw`].
#[must_use = "a subscription begins when it is awaited"]
pub struct RawSubscribe(Subscribe<Bytes>);

async fn check(client: &Client, name: &AgentName) -> Result<()> {
    let directory = &client.session().directory;
    let capabilities = match directory.capabilities(name).await {
        Some(capabilities) => capabilities,
        // It may be newer than what is known here.
        None => match directory.entry(name).await? {
            Some(entry) => entry.capabilities(),
            None => return Err(catalog::not_found(name)),
        },
    };
    match mismatch(name, capabilities, Verb::Subscribe) {
        Some(mismatch) => Err(mismatch),
        None => Ok(()),
    }
}

impl<T: DeserializeOwned + Send + 'static> IntoFuture for Subscribe<T> {
    type Output = Result<Events<T>>;
    type IntoFuture = BoxFuture<'static, Result<Events<T>>>;

    fn into_future(self) -> Self::IntoFuture {
        self.open(json).boxed()
    }
}

impl IntoFuture for RawSubscribe {
    type Output = Result<Events<Bytes>>;
    type IntoFuture = BoxFuture<'static, Result<Events<Bytes>>>;

    fn into_future(self) -> Self::IntoFuture {
        self.0.open(raw).boxed()
    }
}
