//! `publish`: one event to a subject.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use openagentmesh_protocol::{ContentType, HeaderSink, header};
use serde::Serialize;

use super::extra_headers::ExtraHeaders;
use super::handle::Client;
use super::request::to_json;
use crate::error::Result;
use crate::transport::{self, Outgoing};
use crate::util::deferred::Deferred;

/// The time for handing an event to the connection if none is given.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

impl Client {
    /// Publishes `event` as JSON to `subject`.
    ///
    /// Awaiting the [`Publish`] hands it to the connection. Subscribers are not required.
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

    /// Publishes `bytes` unchanged to `subject`; see [`publish`](Client::publish).
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

    /// Publishes `text` unchanged to `subject`; see [`publish`](Client::publish).
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
}

/// An event. A future: the event is published when it is first polled. Made by [`Client::publish`],
/// [`Client::publish_bytes`] and [`Client::publish_text`]. Headers must be given before the first poll.
///
/// Awaiting it returns once the connection has accepted the event. It waits while the connection has no room.
/// While the connection is lost, it waits within its [timeout](Publish::timeout) and then fails with
/// `connection_failed`; the event is not sent later.
/// Delivery to subscribers is not confirmed. The first publish to a subject on a connection also waits until the
/// server has permitted it, which takes two round trips; that applies to the first 256 subjects.
///
/// # Errors
///
/// Awaiting it fails with `invalid_input` when the subject or a header is invalid, the subject has wildcards,
/// or the event cannot be written as JSON; `payload_too_large` when it exceeds the server's limit;
/// `connection_failed` when the connection is closed, or stays lost until the timeout; `timeout` when it has no room
/// until then; `connection_denied` when the server does not permit the subject.
///
/// # Cancel safety
///
/// If the future is dropped, the event is published or not.
#[must_use = "an event is published when it is awaited"]
pub struct Publish(Deferred<'static, Parts, Result<()>>);

struct Parts {
    client: Client,
    timeout: Duration,
    subject: Result<String>,
    body: Result<Bytes>,
    content_type: ContentType,
    headers: ExtraHeaders,
}

impl Publish {
    fn new(client: &Client, subject: &str, body: Result<Bytes>, content_type: ContentType) -> Self {
        let parts = Parts {
            client: client.clone(),
            timeout: client.session().request_timeout.unwrap_or(DEFAULT_TIMEOUT),
            subject: transport::check_subject(subject, false).map(|()| subject.to_owned()),
            body,
            content_type,
            headers: ExtraHeaders::default(),
        };
        Self(Deferred::new(parts, |parts| parts.run().boxed()))
    }

    /// Sets the time to wait until the connection accepts the event: 30 s by default. The deadline of the request that a
    /// handler serves bounds it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.change(|parts| parts.timeout = timeout);
        self
    }

    /// Adds a header to the event. Names that begin with `X-Mesh-` or `Nats-` are reserved.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.0
            .change(|parts| parts.headers.add(name.as_ref(), value.as_ref()));
        self
    }
}

impl Parts {
    async fn run(self) -> Result<()> {
        let subject = self.subject?;
        let body = self.body?;
        let mut headers = Outgoing(self.headers.take()?);
        headers.put(header::CONTENT_TYPE, self.content_type.as_str());
        let deadline = self.client.deadline_within(self.timeout);
        let session = self.client.session();
        headers.put(header::INSTANCE_ID, session.instance_id.as_str());
        let connection = &session.connection;
        connection.check_attached()?;
        let publishing = connection
            .publisher
            .publish(subject.clone(), None, headers.0, body);
        let publishing = async {
            match deadline.limit(pin!(publishing)).await {
                Some(published) => published,
                None => {
                    let event = format!("the event for subject '{subject}'");
                    Err(deadline.not_sent(&event, connection))
                }
            }
        };
        connection.confirm(&subject, publishing).await
    }
}

impl Future for Publish {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}
