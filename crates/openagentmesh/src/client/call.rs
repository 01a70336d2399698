use std::future::IntoFuture;
use std::marker::PhantomData;
use std::time::Duration;

use async_nats::{HeaderMap, StatusCode};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use openagentmesh_protocol::{
    AgentName, ErrorCode, ErrorObject, ReplyHeaders, RequestHeaders, RequestId, Status, subject,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::agent::is_unit;
use crate::discovery;
use crate::error::{Error, Result};
use crate::mesh::Core;
use crate::wire::{self, Outgoing, Received};

/// How long a call waits for its reply, unless it says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// A call that is sent when it is awaited; made by [`AgentMesh::call`](crate::AgentMesh::call).
///
/// # Errors
///
/// Awaiting it fails with
///
/// * `not_found` at once when nobody serves the name, `not_available` when the catalog lists it
///   all the same;
/// * `timeout` when no reply came in time; the handler may have run or run still;
/// * `payload_too_large` before anything is sent, when the input does not fit the server;
/// * `invalid_input` when the name is no agent name, the input cannot be JSON, or the agent
///   refused it: `details.errors` then lists every problem;
/// * `handler_error` when the reply is not what `Out` says, and any code that the agent answers;
/// * `connection_failed` when the connection is closed.
///
/// # Cancel safety
///
/// Dropping the future stops the wait and leaves nothing behind here. Whether the request was sent
/// and its handler runs is then unknown.
#[must_use = "a call is sent when it is awaited"]
pub struct Call<'m, Out> {
    core: &'m Core,
    name: Result<AgentName>,
    body: Result<Bytes>,
    timeout: Duration,
    output: PhantomData<fn() -> Out>,
}

impl<'m, Out> Call<'m, Out> {
    pub(crate) fn new(core: &'m Core, name: &str, input: &impl Serialize) -> Self {
        Self {
            core,
            name: AgentName::new(name).map_err(Error::from),
            body: encode(input),
            timeout: DEFAULT_TIMEOUT,
            output: PhantomData,
        }
    }

    /// How long to wait for the reply: 30 s if nothing is given.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl<Out: DeserializeOwned + 'static> Call<'_, Out> {
    async fn send(self) -> Result<Out> {
        let name = self.name?;
        let request_id = RequestId::random();
        let about = |error: Error| error.with_agent(&name).with_request(&request_id);

        let body = self.body?;
        let headers = headers(self.core, &request_id);
        wire::check_size(&self.core.connection.client, &headers, body.len()).map_err(about)?;
        let answered = async {
            let subject = subject::agent(&name).into();
            let reply = self.core.replies.request(subject, headers, body).await?;
            if reply.status == Some(StatusCode::NO_RESPONDERS) {
                return Err(nobody_serves(self.core, &name).await);
            }
            decode(&reply)
        };
        match tokio::time::timeout(self.timeout, answered).await {
            Ok(Ok(output)) => Ok(output),
            // What the agent answered says itself whom it is about.
            Ok(Err(error)) if error.request_id().is_some() => Err(error),
            Ok(Err(error)) => Err(about(error)),
            Err(_) => Err(about(Error::raised(
                ErrorCode::Timeout,
                format!("agent '{name}' did not answer within {:?}", self.timeout),
            ))),
        }
    }
}

impl<'m, Out: DeserializeOwned + 'static> IntoFuture for Call<'m, Out> {
    type Output = Result<Out>;
    type IntoFuture = BoxFuture<'m, Result<Out>>;

    fn into_future(self) -> Self::IntoFuture {
        self.send().boxed()
    }
}

/// `null` is "no input", which the wire says with an empty body.
fn encode(input: &impl Serialize) -> Result<Bytes> {
    match serde_json::to_vec(input) {
        Ok(json) if json == b"null" => Ok(Bytes::new()),
        Ok(json) => Ok(json.into()),
        Err(error) => Err(Error::raised(
            ErrorCode::InvalidInput,
            format!("the input cannot be written as JSON: {error}"),
        )
        .with_source(error)),
    }
}

fn headers(core: &Core, request_id: &RequestId) -> HeaderMap {
    let mut headers = Outgoing::default();
    RequestHeaders {
        request_id: Some(request_id.clone()),
        instance_id: Some(core.instance_id.clone()),
        ..RequestHeaders::default()
    }
    .write(&mut headers);
    headers.0
}

fn decode<Out: DeserializeOwned + 'static>(reply: &async_nats::Message) -> Result<Out> {
    let unreadable = |what: String| Error::raised(ErrorCode::HandlerError, what);
    let received = Received(reply.headers.as_ref());
    let headers = ReplyHeaders::read(&received)
        .map_err(|error| unreadable(format!("the reply cannot be read: {error}")))?;
    if headers.status == Status::Error {
        let object: ErrorObject = serde_json::from_slice(&reply.payload).map_err(|error| {
            unreadable(format!(
                "the agent failed with an error that cannot be read: {error}"
            ))
        })?;
        return Err(object.into());
    }
    // `()` asks for nothing, whatever there is.
    let body: &[u8] = if is_unit::<Out>() || reply.payload.is_empty() {
        b"null"
    } else {
        &reply.payload
    };
    serde_json::from_slice(body).map_err(|error| {
        unreadable(format!(
            "the reply is not a {}: {error}; the agent's contract tells what it is",
            std::any::type_name::<Out>()
        ))
        .with_source(error)
    })
}

/// Nobody is subscribed: the catalog tells whether somebody should be.
async fn nobody_serves(core: &Core, name: &AgentName) -> Error {
    match core.directory.lists(name).await {
        Ok(false) => discovery::not_found(name),
        Ok(true) => Error::raised(
            ErrorCode::NotAvailable,
            format!("agent '{name}' is in the catalog, but no process serves it now"),
        ),
        Err(error) => Error::raised(
            ErrorCode::NotFound,
            format!("nobody serves agent '{name}' (and the catalog cannot be read: {error})"),
        ),
    }
}
