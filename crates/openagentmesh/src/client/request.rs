//! What every request to an agent has: a name, an input, headers, and a check before it is sent.

use std::str::FromStr;
use std::time::Duration;

use async_nats::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use openagentmesh_protocol::{
    AgentName, Capabilities, ErrorCode, HeaderSink, InstanceId, RequestHeaders, RequestId, Verb,
    header,
};
use serde::Serialize;
use tokio::time::Instant;

use super::deadline::Deadline;
use super::{Client, Session};
use crate::catalog;
use crate::error::{Error, Result};
use crate::transport::{self, Outgoing, Template};

/// How long a failure may wait for what the catalog says of it.
const LOOK: Duration = Duration::from_secs(1);

/// The headers of requests of process `instance` whose answer is awaited; each has its own id and
/// timeout.
pub(crate) fn template(instance: &InstanceId) -> Template {
    let headers = RequestHeaders {
        request_id: Some(RequestId::random()),
        instance_id: Some(instance.clone()),
        timeout_ms: Some(0),
        probe: true,
        ..RequestHeaders::default()
    };
    Template::new(|template| headers.write(template))
}

/// A request as its builder holds it. What is wrong with it is said when it is awaited.
pub(super) struct Request {
    pub(super) client: Client,
    name: Result<AgentName>,
    body: Result<Bytes>,
    headers: ExtraHeaders,
}

/// A request that can be sent: who asks whom.
pub(super) struct Checked {
    pub(super) client: Client,
    pub(super) name: AgentName,
    pub(super) id: RequestId,
}

/// What a request carries.
pub(super) struct Content {
    body: Bytes,
    headers: HeaderMap,
}

impl Request {
    pub(super) fn new(client: &Client, name: &str, input: &impl Serialize) -> Self {
        Self {
            client: client.clone(),
            name: AgentName::new(name).map_err(Error::from),
            body: encode(input),
            headers: ExtraHeaders::default(),
        }
    }

    pub(super) fn header(&mut self, name: &str, value: &str) {
        self.headers.add(name, value);
    }

    /// Refuses what cannot be sent.
    pub(super) fn check(self) -> Result<(Checked, Content)> {
        let Self {
            client,
            name,
            body,
            headers,
        } = self;
        let name = name?;
        let body = body?;
        let headers = headers.take()?;
        if client.deadline().is_some_and(|end| end <= Instant::now()) {
            return Err(Error::raised(
                ErrorCode::Timeout,
                format!(
                    "agent '{name}' was not asked: the time of the request that is served here is \
                     over"
                ),
            )
            .with_agent(&name));
        }
        let id = RequestId::random();
        Ok((Checked { client, name, id }, Content { body, headers }))
    }

    /// When the answer must be there: what is asked for, but never later than the client's own.
    pub(super) fn deadline(&self, timeout: Duration) -> Deadline {
        self.client.deadline_within(timeout)
    }
}

impl Checked {
    pub(super) fn session(&self) -> &Session {
        self.client.session()
    }

    /// Refuses what the agent does not do, as far as the catalog knows. What this process knows of it may
    /// be old, so that a refusal is looked up.
    pub(super) async fn check_verb(&self, verb: Verb) -> Result<()> {
        let (name, directory) = (&self.name, &self.session().directory);
        let known = directory.capabilities(name).await;
        let Some(known) = known.and_then(|known| mismatch(name, known, verb)) else {
            return Ok(());
        };
        match directory.entry(name).boxed().await {
            Ok(Some(entry)) => mismatch(name, entry.capabilities(), verb).map_or(Ok(()), Err),
            Ok(None) => Ok(()),
            Err(_) => Err(known),
        }
    }

    /// Publishes the request with the protocol's headers and its own.
    ///
    /// # Errors
    ///
    /// `payload_too_large` before anything is sent, `connection_failed` when the connection is
    /// closed.
    pub(super) fn publish(
        &self,
        content: Content,
        reply: Option<String>,
        mut protocol: RequestHeaders,
    ) -> impl Future<Output = Result<()>> {
        crate::telemetry::trace::inject(&mut protocol);
        let subject = openagentmesh_protocol::subject::agent(&self.name);
        let headers = self.headers(protocol, &content.headers);
        let session = self.session();
        let others = session.connection.inbox.pending().saturating_sub(1);
        let reply = reply.map(Into::into);
        let publisher = &session.connection.publisher;
        let sent = publisher.publish_coalesced(others, subject, reply, headers.0, content.body);
        sent.map(|sent| sent.map_err(|error| self.about(error)))
    }

    fn headers(&self, mut protocol: RequestHeaders, own: &HeaderMap) -> Outgoing {
        let session = self.session();
        let mut headers = match protocol.timeout_ms.take() {
            Some(timeout_ms) if protocol.probe => {
                protocol.probe = false;
                let mut headers = session.request_headers.copy();
                headers.put(header::REQUEST_ID, self.id.as_str());
                headers.put(header::TIMEOUT_MS, &timeout_ms.to_string());
                headers
            }
            timeout_ms => {
                protocol.request_id = Some(self.id.clone());
                protocol.instance_id = Some(session.instance_id.clone());
                protocol.timeout_ms = timeout_ms;
                Outgoing::default()
            }
        };
        protocol.write(&mut headers);
        // The trace's are the only ones that both may have: those of the current span count.
        let own = own
            .iter()
            .filter(|(name, _)| headers.0.get((*name).clone()).is_none());
        for (name, values) in own.collect::<Vec<_>>() {
            for value in values {
                headers.0.append(name.clone(), value.clone());
            }
        }
        headers
    }

    /// Says whom an error that arose here is about.
    pub(super) fn about(&self, error: Error) -> Error {
        error.with_agent(&self.name).with_request(&self.id)
    }

    pub(super) fn timed_out(&self, what: impl std::fmt::Display) -> Error {
        self.about(Error::raised(
            ErrorCode::Timeout,
            format!("agent '{}' {what}", self.name),
        ))
    }

    /// Nobody is subscribed: the catalog tells whether somebody should be.
    pub(super) fn nobody_serves(&self) -> BoxFuture<'_, Error> {
        // Boxed, because it is rare, and would make every request's future larger.
        self.look_for_hosts().boxed()
    }

    async fn look_for_hosts(&self) -> Error {
        let name = &self.name;
        let known = self.session().directory.known_entry(name);
        let known = tokio::time::timeout(LOOK, known).await;
        let error = match known.unwrap_or_else(|_| Err(transport::closed("it does not answer"))) {
            Ok(None) => catalog::not_found(name),
            Ok(Some(_)) => Error::raised(
                ErrorCode::NotAvailable,
                format!("agent '{name}' is in the catalog, but no process serves it now"),
            ),
            Err(error) => Error::raised(
                ErrorCode::NotFound,
                format!("nobody serves agent '{name}' (and the catalog cannot be read: {error})"),
            ),
        };
        self.about(error)
    }
}

/// The error that says which verb fits; `None` when this one does.
pub(crate) fn mismatch(name: &AgentName, capabilities: Capabilities, verb: Verb) -> Option<Error> {
    let reason = capabilities.mismatch(verb)?;
    let error = Error::raised(
        ErrorCode::InvocationMismatch,
        format!("agent '{name}' {reason} instead of {verb}()"),
    )
    .with_agent(name);
    Some(match capabilities.verb() {
        Some(fitting) => error.with_detail("use", fitting.as_str()),
        None => Error::raised(
            ErrorCode::InvocationMismatch,
            format!("agent '{name}' {reason}"),
        )
        .with_agent(name),
    })
}

/// `null` is "no input", which the wire says with an empty body.
fn encode(input: &impl Serialize) -> Result<Bytes> {
    let json = to_json(input)?;
    Ok(if json == "null" { Bytes::new() } else { json })
}

/// # Errors
///
/// `invalid_input` when `value` cannot be JSON.
pub(crate) fn to_json(value: &impl Serialize) -> Result<Bytes> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| {
        Error::raised(
            ErrorCode::InvalidInput,
            format!("the input cannot be written as JSON: {error}"),
        )
        .with_source(error)
    })
}

/// The headers that a program adds to a message.
#[derive(Default)]
pub(super) struct ExtraHeaders {
    map: HeaderMap,
    wrong: Option<String>,
}

impl ExtraHeaders {
    pub(super) fn add(&mut self, name: &str, value: &str) {
        const RESERVED: &[&str] = &["x-mesh-", "nats-"];
        let lower = name.to_ascii_lowercase();
        if RESERVED.iter().any(|prefix| lower.starts_with(prefix)) {
            self.wrong = Some(format!(
                "header '{name}' belongs to the protocol; give yours another name"
            ));
            return;
        }
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        match (HeaderName::from_str(name), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) if is_name => self.map.append(name, value),
            (Ok(_), Err(_)) if is_name => {
                self.wrong = Some(format!(
                    "the value of header '{name}' has a line break; encode it"
                ));
            }
            _ => {
                self.wrong = Some(format!(
                    "'{name}' cannot be the name of a header: write visible ASCII characters \
                     without a colon"
                ));
            }
        }
    }

    /// # Errors
    ///
    /// `invalid_input` when one of them cannot be sent.
    pub(super) fn take(self) -> Result<HeaderMap> {
        match self.wrong {
            None => Ok(self.map),
            Some(reason) => Err(Error::raised(ErrorCode::InvalidInput, reason)),
        }
    }
}
