use std::future::IntoFuture;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use openagentmesh_protocol::{ContentType, HeaderSink, header};

use super::Client;
use super::request::ExtraHeaders;
use crate::error::Result;
use crate::transport::{self, Outgoing};

/// An event that is published when it is awaited; made by [`Client::publish`] and its kin.
///
/// When awaiting it returns, the connection has the event and sends it as soon as it can; it waits
/// while the connection has more to send than it can take. Whether anybody receives it is unknown.
///
/// # Errors
///
/// Awaiting it fails with `invalid_input` when the subject is none or has wildcards, the event cannot
/// be JSON or a header cannot be sent; `payload_too_large` when it does not fit the server;
/// `connection_failed` when the connection is closed.
///
/// # Cancel safety
///
/// Dropping the future publishes the event or does not.
#[must_use = "an event is published when it is awaited"]
pub struct Publish {
    client: Client,
    subject: Result<String>,
    body: Result<Bytes>,
    content_type: ContentType,
    headers: ExtraHeaders,
}

impl Publish {
    pub(super) fn new(
        client: &Client,
        subject: &str,
        body: Result<Bytes>,
        content_type: ContentType,
    ) -> Self {
        Self {
            client: client.clone(),
            subject: transport::check_subject(subject, false).map(|()| subject.to_owned()),
            body,
            content_type,
            headers: ExtraHeaders::default(),
        }
    }

    /// Adds a header to the event. Names that begin with `X-Mesh-` or `Nats-` are taken.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.headers.add(name.as_ref(), value.as_ref());
        self
    }

    async fn run(self) -> Result<()> {
        let subject = self.subject?;
        let body = self.body?;
        let mut headers = Outgoing(self.headers.take()?);
        headers.put(header::CONTENT_TYPE, self.content_type.as_str());
        let session = self.client.session();
        headers.put(header::INSTANCE_ID, session.instance_id.as_str());
        let publisher = &session.connection.publisher;
        publisher.publish(subject, None, headers.0, body).await
    }
}

impl IntoFuture for Publish {
    type Output = Result<()>;
    type IntoFuture = BoxFuture<'static, Result<()>>;

    fn into_future(self) -> Self::IntoFuture {
        self.run().boxed()
    }
}
