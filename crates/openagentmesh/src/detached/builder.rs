//! The builder of a context without a mesh.

use std::sync::Arc;
use std::time::Duration;

use openagentmesh_protocol::{AgentName, Headers, InstanceId, RequestId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answers::LocalAgents;
use crate::agent::{Agent, Context, ContextInner, IntoAgents, ReportedUsage};
use crate::client::Client;
use crate::session::Session;
use crate::transport::Connection;

/// The URL of a detached context.
const URL: &str = "detached";

impl Context {
    /// A context without a mesh, for a test that calls a handler as a function: without a server and without a
    /// network. See [`ContextBuilder`].
    pub fn detached() -> ContextBuilder {
        ContextBuilder::default()
    }
}

/// A builder of a [`Context`] without a mesh; made by [`Context::detached`].
///
/// The request and the agents that the handler calls are given here:
///
/// ```
/// use openagentmesh::{AgentSpec, Context, Result, agent};
///
/// /// Quotes a price for the tenant of the request.
/// #[agent]
/// async fn quote(ctx: Context, sku: String) -> Result<String> {
///     let price: f64 = ctx.mesh().call("shop.price", sku).await?;
///     Ok(format!("{price:.2} for {}", ctx.header("tenant").unwrap_or("all")))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let price = AgentSpec::new("shop.price", "Returns a price.").handler(|_: String| async { 12.5 });
/// let ctx = Context::detached().header("tenant", "acme").answer(price).build();
/// assert_eq!(quote(ctx, "tea".to_owned()).await?, "12.50 for acme");
/// # Ok(())
/// # }
/// ```
///
/// # Requests of the handler
///
/// [`answer`](Self::answer) adds agents. They answer `call`, `stream` and `send` as their host would: the input
/// is checked, errors and panics get their codes, timeouts apply, and their own contexts are detached, too, so
/// that they can call each other. Their concurrency is not limited. Requests end with `not_found` when their
/// agent was not added, `invocation_mismatch` when it has another verb, and `invalid_input` when it could not be
/// registered.
///
/// A `send` without a reply runs the agent up to its first wait before it returns, and the rest in the background
/// until the timeout of the request. A reply to a subject is dropped.
///
/// The same agents are the catalog: `catalog`, `discover`, `contract`, `wait_for` and `tools` find them, except
/// those that could not be registered. A wait for another agent ends at once with `not_found`.
///
/// Everything else that needs a mesh fails at once with `connection_failed`: events, shared values and files.
/// [`AgentMesh::local`](crate::AgentMesh::local) is for tests of these.
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct ContextBuilder {
    agent: Option<AgentName>,
    request_id: Option<RequestId>,
    headers: Headers,
    caller: Option<InstanceId>,
    deadline: Option<Duration>,
    cancellation: CancellationToken,
    answers: Vec<Agent>,
}

impl ContextBuilder {
    /// Sets [`Context::agent`]: none by default.
    pub fn agent(mut self, name: AgentName) -> Self {
        self.agent = Some(name);
        self
    }

    /// Sets [`Context::request_id`]: random by default.
    pub fn request_id(mut self, id: RequestId) -> Self {
        self.request_id = Some(id);
        self
    }

    /// Sets a header of the request, in place of an earlier value.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.set(name, value);
        self
    }

    /// Sets [`Context::caller`]: none by default.
    pub fn caller(mut self, caller: InstanceId) -> Self {
        self.caller = Some(caller);
        self
    }

    /// Sets the time from [`build`](Self::build) to [`Context::deadline`]: no deadline by default. The requests of
    /// the handler end by then. The handler itself is not dropped.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets [`Context::cancellation`], which the test may cancel: a token that never fires by default.
    pub fn cancellation(mut self, token: CancellationToken) -> Self {
        self.cancellation = token;
        self
    }

    /// Adds agents that answer the requests of the handler: one agent or many, as
    /// [`AgentMesh::register`](crate::AgentMesh::register) takes them. An agent replaces an earlier one with the
    /// same name.
    pub fn answer<M>(mut self, agents: impl IntoAgents<M>) -> Self {
        self.answers.extend(agents.into_agents());
        self
    }

    /// Builds the context. Needs no runtime; the requests of the handler need one.
    #[must_use]
    pub fn build(self) -> Context {
        let connection = Connection::detached();
        let session = Session {
            answers: Some(Arc::new(LocalAgents::new(self.answers))),
            ..Session::new(connection, InstanceId::random(), URL.to_owned())
        };
        let now = Instant::now();
        // A deadline beyond the range of the clock is none.
        let deadline = self.deadline.and_then(|left| now.checked_add(left));
        Context::of(ContextInner {
            agent: self.agent,
            request_id: self.request_id.unwrap_or_else(RequestId::random),
            headers: self.headers,
            caller: self.caller,
            cancelled: self.cancellation,
            usage: ReportedUsage::default(),
            mesh: Client::new(Arc::new(session), deadline),
        })
    }
}
