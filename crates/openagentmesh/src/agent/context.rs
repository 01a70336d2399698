use std::sync::Arc;
use std::time::Duration;

use openagentmesh_protocol::{AgentName, Headers, InstanceId, RequestId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::client::Client;

/// What a handler can know of the request that it serves, and the mesh it came from.
///
/// It stands before the input, or alone where there is none:
///
/// ```
/// use openagentmesh::{Context, Result, agent};
///
/// /// Greets by way of another agent.
/// #[agent]
/// async fn greet(ctx: Context, name: String) -> Result<String> {
///     let greeting: String = ctx.mesh().call("greeting.of", name).await?;
///     Ok(format!("{greeting} (request {})", ctx.request_id()))
/// }
/// ```
///
/// Cloning it is cheap; a clone can be moved into a task of its own.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

/// What a context is made of.
pub(crate) struct Inner {
    pub(crate) agent: Option<AgentName>,
    pub(crate) request_id: RequestId,
    pub(crate) headers: Headers,
    pub(crate) caller: Option<InstanceId>,
    pub(crate) cancelled: CancellationToken,
    pub(crate) mesh: Client,
}

impl Context {
    /// A context of no request: for tests that call a handler as a function.
    ///
    /// It has a random request id, no headers, no deadline, and a token that never fires.
    ///
    /// ```no_run
    /// use openagentmesh::{AgentMesh, Context, agent};
    ///
    /// /// Tells who asks.
    /// #[agent]
    /// async fn whoami(ctx: Context) -> String {
    ///     ctx.caller().map_or("nobody".to_owned(), ToString::to_string)
    /// }
    ///
    /// # async fn example() -> openagentmesh::Result<()> {
    /// let mesh = AgentMesh::connect("nats://127.0.0.1:4222").await?;
    /// assert_eq!(whoami(Context::new(&mesh)).await, "nobody");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(mesh: &Client) -> Self {
        Self::of(Inner {
            agent: None,
            request_id: RequestId::random(),
            headers: Headers::default(),
            caller: None,
            cancelled: CancellationToken::new(),
            mesh: mesh.clone(),
        })
    }

    pub(crate) fn of(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// The agent that is run; `None` in a context made by [`new`](Context::new).
    #[must_use]
    pub fn agent(&self) -> Option<&AgentName> {
        self.0.agent.as_ref()
    }

    /// The request's id. A publisher or watcher has one for each of its runs.
    #[must_use]
    pub fn request_id(&self) -> &RequestId {
        &self.0.request_id
    }

    /// The headers that came with the request, the protocol's own among them.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.0.headers
    }

    /// The value of header `name`, compared without regard to case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers.get(name)
    }

    /// The process that sent the request, where it says so.
    #[must_use]
    pub fn caller(&self) -> Option<&InstanceId> {
        self.0.caller.as_ref()
    }

    /// When the caller stops waiting; `None` where it does not say. The handler is dropped then.
    #[must_use]
    pub fn deadline(&self) -> Option<std::time::Instant> {
        self.0.mesh.deadline().map(Instant::into_std)
    }

    /// How much time is left until the [`deadline`](Context::deadline).
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        let deadline = self.0.mesh.deadline()?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// Fires when nobody waits for the answer any more: the caller gave up, its deadline passed, or
    /// the host shuts down. The handler itself is dropped at that moment; the token is for what it
    /// has started elsewhere, such as a blocking thread.
    ///
    /// ```
    /// use openagentmesh::{Context, agent};
    ///
    /// /// Counts until nobody waits.
    /// #[agent]
    /// async fn count(ctx: Context) -> u64 {
    ///     let cancelled = ctx.cancellation().clone();
    ///     let counted = tokio::task::spawn_blocking(move || {
    ///         (0..u64::MAX).take_while(|_| !cancelled.is_cancelled()).last().unwrap_or(0)
    ///     });
    ///     counted.await.unwrap_or(0)
    /// }
    /// ```
    #[must_use]
    pub fn cancellation(&self) -> &CancellationToken {
        &self.0.cancelled
    }

    /// The mesh: for calling other agents. Calls made through it end with this request's deadline,
    /// and do not keep the mesh alive.
    #[must_use]
    pub fn mesh(&self) -> &Client {
        &self.0.mesh
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("agent", &self.0.agent)
            .field("request_id", &self.0.request_id)
            .field("caller", &self.0.caller)
            .finish_non_exhaustive()
    }
}
