//! The common part of every request to an agent: a name, an input, headers, and checks before it is sent.

use std::time::Duration;

use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use openagentmesh_protocol::{
    AgentName, Capabilities, ErrorCode, RequestHeaders, RequestId, Verb, subject,
};
use serde::Serialize;
use tokio::time::Instant;

use super::deadline::Deadline;
use super::extra_headers::ExtraHeaders;
use super::handle::Client;
use super::intercept::Interception;
use crate::error::{Error, Result};
use crate::session::{LocalRequest, Session};
use crate::transport::{self, Outgoing, Publishing};

/// The limit of the catalog lookup that distinguishes `not_found` from `not_available`.
const CATALOG_TIMEOUT: Duration = Duration::from_secs(1);

/// A request in its builder. Errors in its parts are reported when it is awaited.
pub(super) struct Request {
    pub(super) client: Client,
    name: Result<AgentName>,
    body: Result<Bytes>,
    headers: ExtraHeaders,
}

/// A valid request, ready to be sent.
pub(super) struct Checked {
    pub(super) client: Client,
    pub(super) name: AgentName,
    /// The subject of the agent's requests.
    pub(super) subject: Subject,
    verb: Verb,
    pub(super) id: RequestId,
    pub(super) interception: Interception,
}

/// Body and extra headers of a request.
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

    /// Checks the parts of the request, then runs `before` of the interceptors.
    ///
    /// # Errors
    ///
    /// `invalid_input` when a part is invalid, `timeout` when the client's own deadline has passed, and the
    /// errors of interceptors.
    pub(super) fn check(self, verb: Verb) -> Result<(Checked, Content)> {
        let Self {
            client,
            name,
            body,
            headers,
        } = self;
        let name = name?;
        let body = body?;
        let mut headers = headers.take()?;
        if client.deadline().is_some_and(|end| end <= Instant::now()) {
            return Err(Error::raised(
                ErrorCode::Timeout,
                format!(
                    "agent '{name}' was not called: the deadline of the request that this handler \
                     serves has passed"
                ),
            )
            .with_agent(&name));
        }
        let id = RequestId::random();
        let interceptors = &client.session().interceptors;
        let interception = Interception::start(interceptors, &name, verb, &id, &mut headers)?;
        let checked = Checked {
            client,
            subject: subject::agent(&name).into(),
            name,
            verb,
            id,
            interception,
        };
        Ok((checked, Content { body, headers }))
    }

    /// The deadline of the reply: after `timeout`, bounded by the client's own deadline.
    pub(super) fn deadline(&self, timeout: Duration) -> Deadline {
        self.client.deadline_within(timeout)
    }
}

impl Checked {
    pub(super) fn session(&self) -> &Session {
        self.client.session()
    }

    /// Checks that the agent supports `verb`, as far as the catalog and its contract agree. Each of both can be
    /// outdated or forged: if they disagree, the agent decides.
    pub(super) async fn check_verb(&self, verb: Verb) -> Result<()> {
        let known = self.session().directory.capabilities(&self.name).await;
        let Some(known) = known.and_then(|known| mismatch(&self.name, known, verb)) else {
            return Ok(());
        };
        // Boxed: rare, and it would enlarge the future of every request.
        confirm_mismatch(self.session(), &self.name, known, verb)
            .boxed()
            .await
    }

    /// Publishes the request with the protocol's headers and its extra headers, in the span that an
    /// interceptor has set.
    ///
    /// # Errors
    ///
    /// `payload_too_large` before anything is sent, `connection_failed` when the connection is
    /// closed.
    pub(super) fn publish(
        &self,
        content: Content,
        reply: Option<String>,
        protocol: RequestHeaders,
    ) -> impl Future<Output = Result<()>> {
        let sent = match self.interception.span() {
            None => self.hand_over(content, reply, protocol),
            Some(span) => span.in_scope(|| self.hand_over(content, reply, protocol)),
        };
        sent.map(|sent| sent.map_err(|error| self.about(error)))
    }

    pub(super) fn verb(&self) -> Verb {
        self.verb
    }

    /// The request for an agent of this process, with the headers that it would have on a mesh.
    pub(super) fn local(
        &self,
        content: Content,
        protocol: RequestHeaders,
        deadline: Option<Instant>,
    ) -> LocalRequest {
        let headers = self.headers(protocol, &content.headers);
        LocalRequest {
            agent: self.name.clone(),
            verb: self.verb,
            id: self.id.clone(),
            headers: transport::plain_headers(Some(&headers.0)),
            body: content.body,
            deadline,
        }
    }

    fn hand_over(
        &self,
        content: Content,
        reply: Option<String>,
        protocol: RequestHeaders,
    ) -> Publishing<'_> {
        let headers = self.headers(protocol, &content.headers);
        let session = self.session();
        // A message is coalesced only if its task waits next, so that the flush task can run.
        let others = match self.verb {
            Verb::Send => 0,
            _ => session.connection.inbox.pending().saturating_sub(1),
        };
        let reply = reply.map(Into::into);
        let publisher = &session.connection.publisher;
        publisher.publish_coalesced(others, self.subject.clone(), reply, headers.0, content.body)
    }

    fn headers(&self, mut protocol: RequestHeaders, extra: &HeaderMap) -> Outgoing {
        protocol.request_id = Some(self.id.clone());
        protocol.instance_id = Some(self.session().instance_id.clone());
        let mut headers = Outgoing::default();
        protocol.write(&mut headers);
        // Only the headers of the trace can be in both. Those of the current span take precedence.
        let extra = extra
            .iter()
            .filter(|(name, _)| headers.0.get((*name).clone()).is_none());
        for (name, values) in extra.collect::<Vec<_>>() {
            for value in values {
                headers.0.append(name.clone(), value.clone());
            }
        }
        headers
    }

    /// Adds the agent and the request id to a local error.
    pub(super) fn about(&self, error: Error) -> Error {
        error.with_agent(&self.name).with_request(&self.id)
    }

    /// A `timeout` error: agent '…' `failed_to`, with the loss of the connection if it is lost.
    pub(super) fn timed_out(&self, failed_to: impl std::fmt::Display) -> Error {
        let connection = &self.session().connection;
        let message = format!("agent '{}' {failed_to}{}", self.name, connection.lost());
        self.about(connection.with_loss(Error::raised(ErrorCode::Timeout, message)))
    }

    /// The error of a request whose subject has no subscriber: `not_found` or `not_available`, by the catalog.
    pub(super) fn no_responders(&self) -> BoxFuture<'_, Error> {
        // Boxed: rare, and it would enlarge the future of every request.
        self.look_up_host().boxed()
    }

    async fn look_up_host(&self) -> Error {
        let name = &self.name;
        let known = self.session().directory.is_known(name);
        let known = tokio::time::timeout(CATALOG_TIMEOUT, known).await;
        let known = known.unwrap_or_else(|_| Err(transport::closed("the server does not respond")));
        let error = match known {
            Ok(false) => self.session().directory.not_found(name),
            Ok(true) => Error::raised(
                ErrorCode::NotAvailable,
                format!(
                    "agent '{name}' is not available: the catalog lists it, but no process serves it; \
                     start a process that serves it"
                ),
            ),
            Err(error) => Error::raised(
                ErrorCode::NotFound,
                format!(
                    "agent '{name}' not found: no process serves it, and the catalog cannot be read ({error})"
                ),
            ),
        };
        self.about(error)
    }
}

/// The error of a `verb` that does not fit agent `name` according to the catalog, if the agent's contract and the
/// catalog at the server say so, too. `known` is the error by the cached catalog.
pub(super) async fn confirm_mismatch(
    session: &Session,
    name: &AgentName,
    known: Error,
    verb: Verb,
) -> Result<()> {
    let directory = &session.directory;
    let (contracted, entry) = futures::join!(directory.contracted(name), directory.entry(name));
    let Some(contracted) = contracted else {
        return Ok(());
    };
    let listed = match entry {
        Ok(Some(entry)) => mismatch(name, entry.capabilities(), verb),
        Ok(None) => None,
        Err(_) => Some(known),
    };
    match (listed, mismatch(name, contracted, verb)) {
        (Some(_), Some(error)) => Err(error),
        _ => Ok(()),
    }
}

/// The error that names the verb that the agent supports; `None` when `verb` is supported.
pub(crate) fn mismatch(name: &AgentName, capabilities: Capabilities, verb: Verb) -> Option<Error> {
    let reason = capabilities.mismatch(verb)?;
    let error = Error::raised(
        ErrorCode::InvocationMismatch,
        format!("agent '{name}' {reason} instead of {verb}()"),
    )
    .with_agent(name);
    Some(match capabilities.verb() {
        Some(supported) => error.with_detail("use", supported.as_str()),
        None => Error::raised(
            ErrorCode::InvocationMismatch,
            format!("agent '{name}' {reason}"),
        )
        .with_agent(name),
    })
}

/// Encodes an input. The wire has an empty body for "no input", which is `null` in Rust.
fn encode(input: &impl Serialize) -> Result<Bytes> {
    let json = to_json(input)?;
    Ok(if json == "null" { Bytes::new() } else { json })
}

/// # Errors
///
/// `invalid_input` when `value` cannot be written as JSON.
pub(super) fn to_json(value: &impl Serialize) -> Result<Bytes> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| {
        Error::raised(
            ErrorCode::InvalidInput,
            format!("invalid input: it cannot be written as JSON: {error}"),
        )
        .with_source(error)
    })
}
