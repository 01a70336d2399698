//! The context of a request.

use std::sync::Arc;
use std::time::Duration;

use openagentmesh_protocol::{AgentName, Headers, InstanceId, RequestId, Usage};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::util::sync::Mutex;

/// The request that a handler serves, and the mesh.
///
/// A handler takes the context before its input, or alone if it has no input:
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

/// The parts of a context.
pub(crate) struct Inner {
    pub(crate) agent: Option<AgentName>,
    pub(crate) request_id: RequestId,
    pub(crate) headers: Headers,
    pub(crate) caller: Option<InstanceId>,
    pub(crate) cancelled: CancellationToken,
    pub(crate) usage: ReportedUsage,
    pub(crate) mesh: Client,
}

/// The usage that a handler has reported; written by the handler, read by the answer.
#[derive(Clone, Default)]
pub(crate) struct ReportedUsage(Arc<Mutex<Option<Usage>>>);

impl ReportedUsage {
    fn add(&self, usage: Usage) {
        let mut total = self.0.lock();
        let total = total.get_or_insert_default();
        add(
            &mut total.input_tokens,
            usage.input_tokens,
            u64::saturating_add,
        );
        add(
            &mut total.output_tokens,
            usage.output_tokens,
            u64::saturating_add,
        );
        add(
            &mut total.total_tokens,
            usage.total_tokens,
            u64::saturating_add,
        );
        add(
            &mut total.estimated_cost_usd,
            usage.estimated_cost_usd,
            |a, b| a + b,
        );
        total.model = usage.model.or(total.model.take());
    }

    pub(crate) fn get(&self) -> Option<Usage> {
        self.0.lock().clone()
    }
}

fn add<T: Copy>(total: &mut Option<T>, more: Option<T>, sum: impl FnOnce(T, T) -> T) {
    *total = match (*total, more) {
        (Some(total), Some(more)) => Some(sum(total, more)),
        (total, more) => total.or(more),
    };
}

impl Context {
    /// A context without a request: for tests that call a handler as a function. [`Context::detached`] needs no
    /// mesh.
    ///
    /// The request id is random. The context has no headers and no deadline, and its token never fires.
    ///
    /// ```no_run
    /// use openagentmesh::{AgentMesh, Context, agent};
    ///
    /// /// Returns the caller.
    /// #[agent]
    /// async fn whoami(ctx: Context) -> String {
    ///     ctx.caller().map_or("unknown".to_owned(), ToString::to_string)
    /// }
    ///
    /// # async fn example() -> openagentmesh::Result<()> {
    /// let mesh = AgentMesh::connect("nats://127.0.0.1:4222").await?;
    /// assert_eq!(whoami(Context::new(&mesh)).await, "unknown");
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
            usage: ReportedUsage::default(),
            mesh: mesh.clone(),
        })
    }

    pub(crate) fn of(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// The agent of the handler; `None` in a context made by [`new`](Context::new), and in a detached one without.
    #[must_use]
    pub fn agent(&self) -> Option<&AgentName> {
        self.0.agent.as_ref()
    }

    /// The id of the request. A publisher or watcher has a new id for each of its runs.
    #[must_use]
    pub fn request_id(&self) -> &RequestId {
        &self.0.request_id
    }

    /// The headers of the request, including those of the protocol.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.0.headers
    }

    /// The value of header `name`, compared without regard to case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers.get(name)
    }

    /// The process that sent the request, if the request names it.
    #[must_use]
    pub fn caller(&self) -> Option<&InstanceId> {
        self.0.caller.as_ref()
    }

    /// The deadline of the request, at which the handler is dropped; `None` if the caller gave none.
    #[must_use]
    pub fn deadline(&self) -> Option<std::time::Instant> {
        self.0.mesh.deadline().map(Instant::into_std)
    }

    /// The time until the [`deadline`](Context::deadline).
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        let deadline = self.0.mesh.deadline()?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// Fires when the request is cancelled: the caller has left, the deadline has passed, or the host
    /// shuts down. The handler itself is dropped at that moment. The token is for work that the handler
    /// has started elsewhere, such as on a blocking thread.
    ///
    /// ```
    /// use openagentmesh::{Context, agent};
    ///
    /// /// Counts until the request is cancelled.
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

    /// Reports tokens and cost of the answer. The answer carries them as the header `X-Mesh-Usage`: a reply, the end
    /// of a stream, or an error. Several reports of one request add up; the last model counts.
    ///
    /// A publisher or watcher has no answer, so that its reports have no effect.
    ///
    /// ```
    /// use openagentmesh::protocol::Usage;
    /// use openagentmesh::{Context, agent};
    ///
    /// /// Answers as a model would.
    /// #[agent]
    /// async fn model(ctx: Context, prompt: String) -> String {
    ///     let tokens = Some(prompt.len() as u64);
    ///     ctx.report_usage(Usage { input_tokens: tokens, ..Usage::default() });
    ///     prompt
    /// }
    /// ```
    pub fn report_usage(&self, usage: Usage) {
        self.0.usage.add(usage);
    }

    /// The mesh, for calling other agents. These calls end with the deadline of this request, and do
    /// not keep the mesh alive.
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
