//! The common part of every request to an agent: a name, an input, headers, and checks before it is sent.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use openagentmesh_protocol::{
    AgentName, Capabilities, ErrorCode, HeaderSink, InstanceId, RequestHeaders, RequestId, Verb,
    header, subject,
};
use serde::Serialize;
use tokio::time::Instant;

use super::deadline::Deadline;
use super::extra_headers::ExtraHeaders;
use super::handle::Client;
use super::intercept::Interception;
use crate::catalog::Contract;
use crate::error::{Error, Result};
use crate::session::{LocalRequest, Session};
use crate::transport::{self, Outgoing, Publishing};
use crate::util::operation::Operation;

/// The limit of the catalog lookup that distinguishes `not_found` from `not_available`.
const CATALOG_TIMEOUT: Duration = Duration::from_secs(1);

/// A request in its builder. Errors in its parts are reported when it is awaited.
pub(super) struct Request {
    pub(super) client: Client,
    name: Result<AgentName>,
    body: Result<Bytes>,
    headers: ExtraHeaders,
    verb: Verb,
    id: RequestId,
    /// The number of the reply subject of a stream or a send.
    number: u64,
    /// Set for a request with retries.
    attempt: Option<Box<Attempt>>,
}

/// The parts that the attempts at one request share.
#[derive(Clone)]
pub(super) struct Attempt {
    /// The same for every attempt.
    pub(super) idempotency_key: Arc<str>,
    /// The limit of one attempt.
    pub(super) timeout: Option<Duration>,
    /// The deadline of all attempts.
    pub(super) deadline: Option<Deadline>,
    /// The instance that gets this attempt; any of the agent if `None`.
    pub(super) instance: Option<InstanceId>,
}

/// A valid request, ready to be sent.
pub(super) struct Checked {
    pub(super) client: Client,
    pub(super) name: AgentName,
    /// The subject of the agent's requests.
    pub(super) subject: Subject,
    verb: Verb,
    pub(super) id: RequestId,
    /// The number of the reply subject of a stream or a send.
    pub(super) number: u64,
    pub(super) interception: Interception,
    attempt: Option<Box<Attempt>>,
}

/// Body and extra headers of a request.
pub(super) struct Content {
    body: Bytes,
    headers: HeaderMap,
}

impl Request {
    pub(super) fn new(client: &Client, verb: Verb, name: &str, input: &impl Serialize) -> Self {
        let (id, number) = client.session().connection.take_id(verb);
        Self {
            client: client.clone(),
            name: AgentName::new(name).map_err(Error::from),
            body: encode(input),
            headers: ExtraHeaders::default(),
            verb,
            id,
            number,
            attempt: None,
        }
    }

    pub(super) fn id(&self) -> &RequestId {
        &self.id
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
    pub(super) fn check(self) -> Result<(Checked, Content)> {
        let Self {
            client,
            name,
            body,
            headers,
            verb,
            id,
            number,
            attempt,
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
        let interceptors = &client.session().interceptors;
        let interception = Interception::start(interceptors, &name, verb, &id, &mut headers)?;
        let checked = Checked {
            client,
            subject: match attempt
                .as_ref()
                .and_then(|attempt| attempt.instance.as_ref())
            {
                Some(instance) => subject::instance_request(instance, &name).into(),
                None => subject::agent(&name).into(),
            },
            name,
            verb,
            id,
            number,
            interception,
            attempt,
        };
        Ok((checked, Content { body, headers }))
    }

    /// The deadline of the reply: after `timeout`, bounded by the client's own deadline, and by those of the attempt.
    pub(super) fn deadline(&self, timeout: Duration) -> Deadline {
        let own = self.client.deadline_within(timeout);
        let Some(attempt) = &self.attempt else {
            return own;
        };
        let all = attempt.deadline.map_or(own, |all| own.min(all));
        let limit = attempt.timeout.map(Deadline::after);
        limit.map_or(all, |limit| all.min(limit))
    }

    /// The deadline of a whole stream: after `timeout`, bounded by the client's own deadline, or that of all attempts.
    pub(super) fn stream_deadline(&self, timeout: Option<Duration>) -> Option<Deadline> {
        match &self.attempt {
            Some(attempt) => attempt.deadline,
            None => self.client.deadline_after(timeout),
        }
    }

    /// The limit of this attempt.
    pub(super) fn attempt_timeout(&self) -> Option<Duration> {
        self.attempt.as_ref()?.timeout
    }

    /// Whether the parts of the request are valid, so that it can be sent several times.
    pub(super) fn is_valid(&self) -> bool {
        self.name.is_ok() && self.body.is_ok() && self.headers.is_valid()
    }

    /// The name of the agent, if it is valid.
    pub(super) fn agent(&self) -> Option<&str> {
        self.name.as_ref().ok().map(AgentName::as_str)
    }

    /// The contract of the agent.
    ///
    /// # Errors
    ///
    /// Those of [`Client::contract`].
    pub(super) fn contract(&self) -> Operation<'static, Contract> {
        self.client.contract(self.agent().unwrap_or_default())
    }

    /// A copy of this request as an attempt. To be called for a [valid](Self::is_valid) request.
    pub(super) fn attempt(&self, attempt: Attempt) -> Self {
        let invalid = || Error::raised(ErrorCode::InvalidInput, "the request is invalid");
        let (id, number) = self.client.session().connection.take_id(self.verb);
        Self {
            client: self.client.clone(),
            name: self.name.as_ref().map_err(|_| invalid()).cloned(),
            body: self.body.as_ref().map_err(|_| invalid()).cloned(),
            headers: self.headers.clone(),
            verb: self.verb,
            id,
            number,
            attempt: Some(Box::new(attempt)),
        }
    }
}

impl Checked {
    pub(super) fn session(&self) -> &Session {
        self.client.session()
    }

    /// Checks that the agent supports `verb`, as far as the catalog and its contract agree. Each of both can be
    /// outdated or forged: if they disagree, the agent decides.
    pub(super) async fn check_verb(&self) -> Result<()> {
        let verb = self.verb;
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
        if let Some(attempt) = &self.attempt {
            headers.put(header::IDEMPOTENCY_KEY, &attempt.idempotency_key);
        }
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
