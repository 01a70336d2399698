//! An agent: its spec, its handler, and the contract of both.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use openagentmesh_protocol::{AgentName, Contract as Document, ErrorCode, Shape};
use time::OffsetDateTime;

use super::erased::{ErasedHandler, HandlerFn};
use super::handler::{Background, Handler, ResultOutput};
use super::raw::RawHandler;
use crate::catalog::Contract;
use crate::error::{Error, Result};
use crate::schema::{InputSchema, SchemaText};

/// Requests of one agent that run at once. The `unwrap` cannot fail: 64 is not zero.
const DEFAULT_CONCURRENCY: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// Requests of one agent that wait.
const DEFAULT_QUEUE: usize = 1024;

/// The name, the description and the limits of an agent; [`handler`](AgentSpec::handler) adds the
/// function.
///
/// ```
/// use openagentmesh::AgentSpec;
///
/// let agent = AgentSpec::new("text.reverse", "Reverses a text.")
///     .tag("text")
///     .version("1.2.0")
///     .handler(|text: String| async move { text.chars().rev().collect::<String>() });
/// assert_eq!(agent.name(), "text.reverse");
/// ```
#[derive(Debug, Clone)]
#[must_use = "a spec becomes an agent with `handler`"]
pub struct AgentSpec {
    name: String,
    description: String,
    version: String,
    tags: Vec<String>,
    concurrency: NonZeroUsize,
    queue: usize,
    timeout: Option<Duration>,
    idempotent: bool,
    mcp: Option<bool>,
}

impl AgentSpec {
    /// A spec of agent `name`, dot-separated segments of letters, digits, `_` and `-`.
    ///
    /// People and language models choose the agent by its `description`. The name is checked when the
    /// agent is registered.
    pub fn new(name: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            version: "0.1.0".to_owned(),
            tags: Vec::new(),
            concurrency: DEFAULT_CONCURRENCY,
            queue: DEFAULT_QUEUE,
            timeout: None,
            idempotent: false,
            mcp: None,
        }
    }

    /// Puts the agent in `channel`: its name becomes `{channel}.{name}`.
    pub fn channel(mut self, channel: impl std::fmt::Display) -> Self {
        self.name = format!("{channel}.{}", self.name);
        self
    }

    /// The agent's own version; `0.1.0` if none is given.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// Adds a word that the catalog can be filtered by.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Adds words that the catalog can be filtered by.
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// The number of requests that run at once on this host: 64 by default, at least 1.
    ///
    /// A handler must not block its thread: long computations and blocking calls belong into
    /// `tokio::task::spawn_blocking`. A handler that blocks may delay other requests of the host, and
    /// deadlocks if it waits for one of them.
    pub fn concurrency(mut self, limit: usize) -> Self {
        self.concurrency = NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN);
        self
    }

    /// The number of requests that wait while [`concurrency`](AgentSpec::concurrency) requests run: 1024
    /// by default. The waiting requests of a process take at most 64 MiB of memory.
    ///
    /// A further request is answered `overloaded` at once.
    pub fn queue(mut self, limit: usize) -> Self {
        self.queue = limit;
        self
    }

    /// The time that the handler of one request may run: no limit by default. The time in the
    /// [`queue`](AgentSpec::queue) does not count.
    ///
    /// The host then drops the handler and answers `timeout`. An earlier deadline of the caller still
    /// applies. The timeout is part of [`Context::deadline`](crate::Context::deadline), so that it bounds
    /// the calls of the handler, too. Zero, and a timeout of a publisher or watcher, which run while they
    /// are served, fail registration with `invalid_input`.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use openagentmesh::AgentSpec;
    ///
    /// let agent = AgentSpec::new("double", "Doubles a number.")
    ///     .timeout(Duration::from_secs(30))
    ///     .handler(|n: i64| async move { n * 2 });
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Says in the contract that a repetition of a request has the same effect as the request itself. Callers that ask
    /// for [retries](crate::Retry) then send a request again whose host died or did not reply in time.
    ///
    /// The attempts at one request have the same `X-Mesh-Idempotency-Key` header, which
    /// [`Context::header`](crate::Context::header) returns.
    ///
    /// ```
    /// use openagentmesh::AgentSpec;
    ///
    /// let agent = AgentSpec::new("double", "Doubles a number.")
    ///     .idempotent()
    ///     .handler(|n: i64| async move { n * 2 });
    /// assert!(agent.contract()?.idempotent);
    /// # Ok::<(), openagentmesh::Error>(())
    /// ```
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Says in the contract whether gateways export the agent as an MCP tool. Without it, the gateway decides.
    ///
    /// ```
    /// use openagentmesh::AgentSpec;
    ///
    /// let agent = AgentSpec::new("double", "Doubles a number.")
    ///     .mcp(false)
    ///     .handler(|n: i64| async move { n * 2 });
    /// assert_eq!(agent.contract()?.mcp, Some(false));
    /// # Ok::<(), openagentmesh::Error>(())
    /// ```
    pub fn mcp(mut self, is_exported: bool) -> Self {
        self.mcp = Some(is_exported);
        self
    }

    /// Makes an agent of `handler`, whose shape is inferred:
    ///
    /// | function | shape |
    /// |---|---|
    /// | `async fn(In) -> Out` | responder: answers each request |
    /// | `fn(In) -> impl Stream<Item = Out>` | streamer: answers each request with a stream |
    /// | `async fn() -> Out` | trigger: answers each request, takes no input |
    /// | `fn() -> impl Stream<Item = Out>` | publisher: publishes events while it is served |
    ///
    /// and a [`watcher`](AgentSpec::watcher), which runs while it is served. `In` is anything that
    /// implements `Deserialize` and `JsonSchema`; `Out` anything that implements `Serialize` and
    /// `JsonSchema`, or a `Result` of it with any error. A [`Context`](crate::Context) may stand
    /// before the input.
    ///
    /// ```
    /// use futures::{Stream, stream};
    /// use openagentmesh::{AgentSpec, Shape};
    ///
    /// let agent = AgentSpec::new("count", "Counts up to a number.")
    ///     .handler(|to: u32| stream::iter(1..=to));
    /// assert_eq!(agent.shape(), Shape::Streamer);
    /// ```
    ///
    /// A closure that uses `?` names its error type in the last expression:
    ///
    /// ```
    /// use openagentmesh::{AgentSpec, Error};
    ///
    /// let agent = AgentSpec::new("parse", "Parses a number.").handler(|text: String| async move {
    ///     let number: i64 = text.parse().map_err(|_| Error::new("no_number", "not a number"))?;
    ///     Ok::<_, Error>(number)
    /// });
    /// ```
    ///
    /// A `Result` whose error is itself serialisable (`Result<T, String>` among them) could be
    /// meant as an output too, and the compiler asks for a type; say which with
    /// [`result_handler`](AgentSpec::result_handler).
    pub fn handler<M>(self, handler: impl Handler<M>) -> Agent {
        Agent::new(self, handler.erase())
    }

    /// Makes a watcher: `function` is started when the agent is registered, and again after an
    /// error or a panic. The function takes no argument or a [`Context`](crate::Context), and returns
    /// `()` or a `Result` of it.
    ///
    /// The running function is dropped when the agent is deregistered or the host shuts down.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use openagentmesh::{AgentSpec, Context, Result};
    ///
    /// async fn tidy(ctx: Context) -> Result<()> {
    ///     let mut hours = tokio::time::interval(Duration::from_secs(3600));
    ///     loop {
    ///         hours.tick().await;
    ///         ctx.mesh().send("cleanup", ()).await?;
    ///     }
    /// }
    ///
    /// let agent = AgentSpec::new("janitor", "Asks for a cleanup every hour.").watcher(tidy);
    /// ```
    pub fn watcher<F, M>(self, function: F) -> Agent
    where
        Background<F>: Handler<M>,
    {
        Agent::new(self, Background(function).erase())
    }

    /// Makes an agent whose handler returns a `Result`, whatever its error type is.
    ///
    /// ```
    /// use openagentmesh::AgentSpec;
    ///
    /// let agent = AgentSpec::new("sqrt", "Takes a square root.").result_handler(
    ///     |x: f64| async move {
    ///         if x < 0.0 { Err("the root of a negative number".to_owned()) } else { Ok(x.sqrt()) }
    ///     },
    /// );
    /// assert_eq!(agent.contract()?.output_schema.as_ref().unwrap()["type"], "number");
    /// # Ok::<(), openagentmesh::Error>(())
    /// ```
    pub fn result_handler<M: ResultOutput>(self, handler: impl Handler<M>) -> Agent {
        Agent::new(self, handler.erase())
    }

    /// Makes an agent of a handler that takes and returns JSON as bytes: see [`RawHandler`].
    ///
    /// Registration refuses the agent with `invalid_input` if a schema of the handler is invalid or
    /// does not fit its shape.
    ///
    /// ```
    /// use openagentmesh::{AgentSpec, RawHandler};
    /// use serde_json::json;
    ///
    /// let agent = AgentSpec::new("echo", "Returns its input.").raw(
    ///     RawHandler::responder(|request| async move { Ok(request.body) })
    ///         .input_schema(json!({"type": "string", "minLength": 1}))
    ///         .output_schema(json!({"type": "string"})),
    /// );
    /// assert_eq!(agent.contract()?.output_schema.as_ref().unwrap()["type"], "string");
    /// # Ok::<(), openagentmesh::Error>(())
    /// ```
    pub fn raw(self, handler: RawHandler) -> Agent {
        Agent::new(self, handler.erase())
    }
}

/// An agent that can be registered: an [`AgentSpec`] and its handler.
///
/// Made by [`agents!`](crate::agents) from functions with `#[agent]`, or by
/// [`AgentSpec::handler`] from any function or closure.
#[derive(Clone)]
pub struct Agent {
    spec: AgentSpec,
    handler: ErasedHandler,
}

impl Agent {
    pub(super) fn new(spec: AgentSpec, handler: ErasedHandler) -> Self {
        Self { spec, handler }
    }

    /// The agent's name as it was given; it is checked at registration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The shape of the handler.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.handler.shape
    }

    /// The contract that registration publishes, without the time of registration. The same type as from
    /// [`Client::contract`](crate::Client::contract), so that a unit test can validate inputs.
    ///
    /// # Errors
    ///
    /// `invalid_input` when the name is not an agent name.
    ///
    /// ```
    /// use openagentmesh::AgentSpec;
    ///
    /// let agent = AgentSpec::new("double", "Doubles a number.")
    ///     .handler(|n: i64| async move { n * 2 });
    /// let contract = agent.contract()?;
    /// assert_eq!(contract.input_schema.as_ref().unwrap()["type"], "integer");
    /// assert!(contract.validate("two").is_err());
    /// # Ok::<(), openagentmesh::Error>(())
    /// ```
    pub fn contract(&self) -> Result<Contract> {
        Ok(Contract::from(self.document()?))
    }

    fn document(&self) -> Result<Document> {
        Ok(Document {
            name: AgentName::new(self.spec.name.as_str())?,
            description: self.spec.description.clone(),
            version: self.spec.version.clone(),
            tags: self.spec.tags.clone(),
            capabilities: self.handler.shape.capabilities(),
            input_schema: self.handler.input.as_deref().map(InputSchema::to_value),
            output_schema: self.handler.output.as_ref().map(SchemaText::to_value),
            chunk_schema: self.handler.chunk.as_ref().map(SchemaText::to_value),
            registered_at: None,
            mcp: self.spec.mcp,
            idempotent: self.spec.idempotent,
        })
    }

    /// Checks the schemas and the timeout before registration.
    ///
    /// # Errors
    ///
    /// `invalid_input` when a schema of a [`RawHandler`](crate::RawHandler) is invalid or does not fit
    /// its shape, when inputs cannot be checked against the input schema, or when the timeout is zero or
    /// does not fit the shape.
    pub(crate) fn check(&self) -> Result<()> {
        let name = &self.spec.name;
        let invalid = |message| Err(Error::raised(ErrorCode::InvalidInput, message));
        if let Some(timeout) = self.spec.timeout {
            let shape = self.shape();
            if matches!(shape, Shape::Publisher | Shape::Watcher) {
                return invalid(format!(
                    "invalid timeout of agent '{name}': a {shape} runs while it is served; remove it"
                ));
            }
            if timeout.is_zero() {
                return invalid(format!(
                    "invalid timeout of agent '{name}': 0 s leaves no time to run; give a longer one"
                ));
            }
        }
        if let Some(defect) = &self.handler.defect {
            return invalid(format!("invalid agent '{name}': {defect}"));
        }
        match self.handler.input.as_deref().map(InputSchema::check) {
            Some(Err(reason)) => {
                invalid(format!("invalid input schema of agent '{name}': {reason}"))
            }
            _ => Ok(()),
        }
    }

    /// Logs warnings of differences between the contract and the input type: a name that only the type knows, and a
    /// sample of what the contract allows that the type refuses.
    pub(crate) fn warn_of_differences(&self) {
        let Some(input) = &self.handler.input else {
            return;
        };
        let agent = self.spec.name.as_str();
        if let Some(name) = input.unknown_name() {
            tracing::warn!(
                agent,
                name,
                "the input type takes a name that the contract does not have, such as a #[serde(alias)]; requests \
                 are checked against the contract and need its names"
            );
        }
        if let Some((input, reason)) = input.refused_sample() {
            tracing::warn!(
                agent,
                %input,
                reason,
                "the contract allows an input that the input type refuses; let the schema say what the type \
                 takes, for example with #[schemars(...)]"
            );
        }
    }

    pub(crate) fn contract_registered_now(&self) -> Result<Document> {
        let mut contract = self.document()?;
        contract.registered_at = Some(timestamp(OffsetDateTime::now_utc()));
        Ok(contract)
    }

    pub(crate) fn concurrency(&self) -> NonZeroUsize {
        self.spec.concurrency
    }

    pub(crate) fn queue(&self) -> usize {
        self.spec.queue
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.spec.timeout
    }

    pub(crate) fn function(&self) -> HandlerFn {
        self.handler.function.clone()
    }

    pub(crate) fn input(&self) -> Option<Arc<InputSchema>> {
        self.handler.input.clone()
    }
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent")
            .field("name", &self.spec.name)
            .field("shape", &self.handler.shape)
            .finish_non_exhaustive()
    }
}

/// A time in UTC as the published SDKs write it.
fn timestamp(utc: OffsetDateTime) -> String {
    let (year, month, day) = utc.to_calendar_date();
    let (hour, minute, second, micro) = utc.to_hms_micro();
    let month = u8::from(month);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}+00:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamp_equals_that_of_the_published_sdks() {
        let second = OffsetDateTime::UNIX_EPOCH + time::Duration::microseconds(1_050_000);
        assert_eq!(timestamp(second), "1970-01-01T00:00:01.050000+00:00");
    }
}
