//! Calling agents, and taking and giving events.
//!
//! [`Client`] has the verbs; each is a builder of its own. `request` is what the builders of
//! requests share, `deadline` when they are given up, `reply` reads what is answered, `window` says how many chunks may come, `buffer` holds what comes faster than it is taken,
//! `producers` notices what got lost.

mod call;
mod chunks;
mod credit_window;
mod deadline;
mod events;
mod publish;
mod query;
mod receive_buffer;
mod reply;
mod request;
mod send;
mod sequence_tracker;
mod stream;
mod subscribe;
mod wait_for;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openagentmesh_protocol::{AgentName, CatalogEntry, ContentType, InstanceId};
use serde::Serialize;
use tokio::time::Instant;

use crate::catalog::Contract;
use crate::error::Result;
use crate::kv::Kv;
use crate::session::Session;
use crate::workspace::Workspace;

pub use call::Call;
pub use chunks::Chunks;
pub use events::{Event, Events};
pub use publish::Publish;
pub use query::Query;
pub use send::{Reply, SendRequest};
pub use stream::StreamRequest;
pub use subscribe::{RawSubscribe, Subscribe};
pub use wait_for::WaitFor;

pub(crate) use deadline::Deadline;
pub(crate) use request::{mismatch, template as request_template, to_json};

/// The calling side of a mesh: finds agents, talks to them, takes and gives events.
///
/// An [`AgentMesh`](crate::AgentMesh) is one that also serves; a handler has one in its
/// [`Context`](crate::Context), whose requests end with the one that it serves. Cloning it is
/// cheap. It does not keep agents served.
#[derive(Clone)]
pub struct Client {
    session: Arc<Session>,
    deadline: Option<Instant>,
}

impl Client {
    pub(crate) fn new(session: Arc<Session>, deadline: Option<Instant>) -> Self {
        Self { session, deadline }
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// When everything that is asked for through it must be over.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// When something must be there that may take `timeout`: never later than the end of the request
    /// in whose service it is.
    pub(crate) fn deadline_after(&self, timeout: Option<Duration>) -> Option<Deadline> {
        match timeout {
            Some(timeout) => Some(self.deadline_within(timeout)),
            None => self.deadline.map(Deadline::inherited),
        }
    }

    /// As [`Client::deadline_after`], where it may not take for ever.
    pub(crate) fn deadline_within(&self, timeout: Duration) -> Deadline {
        let asked = Deadline::after(timeout);
        let inherited = self.deadline.map(Deadline::inherited);
        inherited.map_or(asked, |inherited| asked.min(inherited))
    }

    /// Calls agent `name` with `input` and waits for its one reply.
    ///
    /// `input` is anything serialisable, `()` for an agent without an input. The reply is read as
    /// `Out`; use [`serde_json::Value`] to take whatever comes. The call is a [`Call`], which can be
    /// given a timeout and headers before it is awaited and lists the errors.
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
    pub fn call<Out>(&self, name: impl AsRef<str>, input: impl Serialize) -> Call<Out> {
        Call::new(self, name.as_ref(), &input)
    }

    /// Calls agent `name` with `input` and takes its reply chunk by chunk.
    ///
    /// Awaiting the [`StreamRequest`] sends the request and gives [`Chunks`], a stream of
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
    pub fn stream<Out>(&self, name: impl AsRef<str>, input: impl Serialize) -> StreamRequest<Out> {
        StreamRequest::new(self, name.as_ref(), &input)
    }

    /// Sends `input` to agent `name` and goes on.
    ///
    /// The reply is dropped, or goes to a subject, to a callback, or to a handle, as the
    /// [`SendRequest`] is told before it is awaited.
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
        SendRequest::new(self, name.as_ref(), &input)
    }

    /// Takes the events of publisher `name`.
    ///
    /// Awaiting the [`Subscribe`] gives [`Events`], a stream that ends when the publisher does.
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
    pub fn subscribe<T: 'static>(&self, name: impl AsRef<str>) -> Subscribe<T> {
        Subscribe::to_agent(self, name.as_ref())
    }

    /// Takes the events of all publishers in `channel`, those that come later among them.
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
    pub fn subscribe_channel<T: 'static>(&self, channel: impl AsRef<str>) -> Subscribe<T> {
        Subscribe::to_channel(self, channel.as_ref())
    }

    /// Takes every message on `subject`, which may have the wildcards `*` (one segment) and `>`
    /// (all that follow).
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
    pub fn subscribe_subject<T: 'static>(&self, subject: impl AsRef<str>) -> Subscribe<T> {
        Subscribe::to_subject(self, subject.as_ref())
    }

    /// Publishes `event` as JSON to `subject`.
    ///
    /// Awaiting the [`Publish`] hands it to the connection; nobody need be there to take it.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// mesh.publish("orders.new", serde_json::json!({"id": 7})).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn publish(&self, subject: impl AsRef<str>, event: impl Serialize) -> Publish {
        Publish::new(self, subject.as_ref(), to_json(&event), ContentType::Json)
    }

    /// Publishes `bytes` as they are to `subject`; see [`publish`](Client::publish).
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// mesh.publish_bytes("images.new", vec![0x89, 0x50]).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn publish_bytes(&self, subject: impl AsRef<str>, bytes: impl Into<Bytes>) -> Publish {
        Publish::new(self, subject.as_ref(), Ok(bytes.into()), ContentType::Bytes)
    }

    /// Publishes `text` as it is to `subject`; see [`publish`](Client::publish).
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// mesh.publish_text("notes.new", "remember the milk").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn publish_text(&self, subject: impl AsRef<str>, text: impl Into<String>) -> Publish {
        let bytes = Bytes::from(text.into());
        Publish::new(self, subject.as_ref(), Ok(bytes), ContentType::Text)
    }

    /// The catalog: one entry for every agent on the mesh, or for those that pass a filter.
    ///
    /// Answered from what this process knows, which a watch in the background keeps current from when
    /// it connects; agents that this process registers are in it at once. See [`Query`].
    ///
    /// # Errors
    ///
    /// `connection_failed` when it cannot be read or understood. Cancel-safe.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// for agent in mesh.catalog().channel("nlp").tag("text").await? {
    ///     println!("{}: {}", agent.name, agent.description);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn catalog(&self) -> Query<CatalogEntry> {
        Query::new(self)
    }

    /// The contracts of all agents, or of those that pass a filter, in the order of the catalog. An
    /// agent whose contract is missing or malformed is left out.
    ///
    /// # Errors
    ///
    /// `connection_failed` when the catalog or the registry cannot be read. Cancel-safe.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut tools = Vec::new();
    /// for contract in mesh.discover().tag("text").invocable(true).await? {
    ///     tools.push(contract.to_anthropic_tool()?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn discover(&self) -> Query<Contract> {
        Query::new(self)
    }

    /// Waits until agent `name` is listed, and gives its entry. See [`WaitFor`].
    ///
    /// # Errors
    ///
    /// Those of [`WaitFor`]. Cancel-safe.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// use std::time::Duration;
    ///
    /// mesh.wait_for("echo").timeout(Duration::from_secs(10)).await?;
    /// let reply: String = mesh.call("echo", "hello").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_for(&self, name: impl AsRef<str>) -> WaitFor {
        WaitFor::new(self, name.as_ref())
    }

    /// The contract of agent `name`, from the registry: its schemas and all else that a caller needs.
    ///
    /// # Errors
    ///
    /// `not_found` when no such agent is registered, `invalid_input` when it is no agent name,
    /// `connection_failed` when the registry cannot be read or understood.
    /// Cancel-safe.
    ///
    /// ```no_run
    /// # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
    /// let contract = mesh.contract("echo").await?;
    /// println!("{:?}", contract.input_schema);
    /// contract.validate("hello")?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn contract(&self, name: impl AsRef<str>) -> Result<Contract> {
        self.session
            .directory
            .contract(&AgentName::new(name.as_ref())?)
            .await
    }

    /// The key-value store that everybody on the mesh shares. See [`Kv`].
    #[must_use]
    pub fn kv(&self) -> Kv {
        Kv::new(&self.session.kv)
    }

    /// The files that everybody on the mesh shares. See [`Workspace`].
    #[must_use]
    pub fn workspace(&self) -> Workspace {
        Workspace::new(&self.session.objects)
    }

    /// The server's URL as it was given or found, but without a password: fit to be shown.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.session.url
    }

    /// This process's identity on the mesh.
    #[must_use]
    pub fn instance_id(&self) -> &InstanceId {
        &self.session.instance_id
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("instance_id", self.instance_id())
            .finish_non_exhaustive()
    }
}
