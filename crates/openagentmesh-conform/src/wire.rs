//! The connection of the kit: plain NATS messages.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use async_nats::{
    Client, ConnectErrorKind, ConnectOptions, HeaderMap, HeaderName, Message, ServerAddr,
    StatusCode, Subscriber,
};
use bytes::Bytes;
use futures::StreamExt;
use openagentmesh_protocol::RequestId;
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::Error;

/// The limit of connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The limit of a round trip to the server.
const ROUND_TRIP_TIMEOUT: Duration = Duration::from_secs(5);
/// The number of messages that wait in one subscription.
const MAX_WAITING_MESSAGES: usize = 8192;

/// A connection to the mesh whose participant is checked. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Mesh {
    pub(crate) client: Client,
}

impl Mesh {
    /// Connects to the server at `url`, or to one of several with commas between them, with a NATS credentials file.
    ///
    /// # Errors
    ///
    /// [`Error::Connection`] when the URL is invalid, the credentials file cannot be read, or the server does not accept
    /// the connection within 10 s. [`Error::Denied`] when the server refuses the credentials, or asks for some.
    pub async fn connect(url: &str, credentials: Option<&Path>) -> Result<Self, Error> {
        let shown = url.rsplit('@').next().unwrap_or_default();
        let failed = |cause: String| Error::Connection {
            url: shown.to_owned(),
            cause,
        };
        let servers: Result<Vec<ServerAddr>, _> =
            url.split(',').map(ServerAddr::from_str).collect();
        let servers = servers.map_err(|error| failed(error.to_string()))?;
        let mut options = ConnectOptions::new()
            .name("oam-conform")
            .connection_timeout(CONNECT_TIMEOUT)
            .subscription_capacity(MAX_WAITING_MESSAGES);
        if let Some(path) = credentials {
            let given = options.credentials_file(path).await;
            options = given.map_err(|error| failed(error.to_string()))?;
        }
        match timeout(CONNECT_TIMEOUT, options.connect(servers)).await {
            Ok(Ok(client)) => Ok(Self { client }),
            Ok(Err(error)) if is_denial(error.kind()) => Err(Error::Denied {
                url: shown.to_owned(),
                cause: error.to_string(),
            }),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed("the server does not answer".to_owned())),
        }
    }

    /// Subscribes. The subscription is active at the server when this returns.
    pub(crate) async fn subscribe(&self, subject: impl Into<String>) -> Result<Subscriber, Error> {
        let subscribed = self.client.subscribe(subject.into()).await;
        let subscriber = subscribed.map_err(|error| Error::Message(error.to_string()))?;
        self.settle().await?;
        Ok(subscriber)
    }

    pub(crate) async fn send(&self, message: Outgoing) -> Result<(), Error> {
        let Outgoing {
            subject,
            reply,
            headers,
            body,
        } = message;
        let client = &self.client;
        let sent = match (reply, headers.is_empty()) {
            (None, true) => client.publish(subject, body).await,
            (None, false) => client.publish_with_headers(subject, headers, body).await,
            (Some(reply), true) => client.publish_with_reply(subject, reply, body).await,
            (Some(reply), false) => {
                let sent = client.publish_with_reply_and_headers(subject, reply, headers, body);
                sent.await
            }
        };
        sent.map_err(|error| Error::Message(error.to_string()))
    }

    /// Waits until the server has processed all earlier messages of this connection.
    pub(crate) async fn settle(&self) -> Result<(), Error> {
        // The server answers that the subject has no subscriber, after the earlier messages.
        let unserved = format!("conform.unserved.{}", RequestId::random());
        let answer = timeout(
            ROUND_TRIP_TIMEOUT,
            self.client.request(unserved, Bytes::new()),
        )
        .await;
        match answer {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Message("the server does not answer".to_owned())),
        }
    }
}

fn is_denial(kind: ConnectErrorKind) -> bool {
    matches!(
        kind,
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation
    )
}

/// A message to be sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outgoing {
    pub(crate) subject: String,
    pub(crate) reply: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Outgoing {
    pub(crate) fn to(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            ..Self::default()
        }
    }

    pub(crate) fn reply(mut self, subject: impl Into<String>) -> Self {
        self.reply = Some(subject.into());
        self
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        // The names and values are those of the kit, or were read from a message.
        self.headers.insert(name, value.as_ref());
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

/// The value of a header with exactly this name.
pub(crate) fn header<'m>(message: &'m Message, name: &str) -> Option<&'m str> {
    let name = HeaderName::from_str(name).ok()?;
    Some(message.headers.as_ref()?.get(name)?.as_str())
}

/// The names of all headers.
pub(crate) fn header_names(message: &Message) -> impl Iterator<Item = &str> {
    let headers = message.headers.iter().flat_map(HeaderMap::iter);
    headers.map(|(name, _)| name.as_ref())
}

/// Whether the message is the server's report that the subject has no subscriber.
pub(crate) fn is_no_responders(message: &Message) -> bool {
    message.status == Some(StatusCode::NO_RESPONDERS)
}

/// The next message until `deadline`; `None` if none arrives.
pub(crate) async fn next_until(messages: &mut Subscriber, deadline: Instant) -> Option<Message> {
    timeout_at(deadline, messages.next()).await.ok().flatten()
}

/// The next message within `limit`; `None` if none arrives.
pub(crate) async fn next_within(messages: &mut Subscriber, limit: Duration) -> Option<Message> {
    next_until(messages, Instant::now() + limit).await
}
