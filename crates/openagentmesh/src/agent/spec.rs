use std::num::NonZeroUsize;

use super::Agent;
use super::handler::{Background, Handler, ResultOutput};

/// How many requests of one agent run at once, unless its spec says otherwise.
const DEFAULT_CONCURRENCY: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// How many requests of one agent wait beyond those that run, unless its spec says otherwise.
const DEFAULT_QUEUE: usize = 1024;

/// What an agent is called and how it is served; [`handler`](AgentSpec::handler) makes it one.
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
    pub(super) name: String,
    pub(super) description: String,
    pub(super) version: String,
    pub(super) tags: Vec<String>,
    pub(super) concurrency: NonZeroUsize,
    pub(super) queue: usize,
}

impl AgentSpec {
    /// A spec of agent `name`, dot-separated segments of letters, digits, `_` and `-`.
    ///
    /// `description` is what people and models choose the agent by. The name is checked when the
    /// agent is registered.
    pub fn new(name: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            version: "0.1.0".to_owned(),
            tags: Vec::new(),
            concurrency: DEFAULT_CONCURRENCY,
            queue: DEFAULT_QUEUE,
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

    /// How many requests run at once on this host: 64 if none is given, at least 1.
    ///
    /// A handler must not block its thread, as in every asynchronous program: what computes for long or
    /// waits for something else than a future belongs into `tokio::task::spawn_blocking`. One that does may
    /// hold up the requests behind it, and waits for itself if it needs one of them.
    pub fn concurrency(mut self, limit: usize) -> Self {
        self.concurrency = NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN);
        self
    }

    /// How many requests wait for a place beyond those that run: 1024 if none is given.
    ///
    /// A request beyond that is answered `overloaded` at once.
    pub fn queue(mut self, limit: usize) -> Self {
        self.queue = limit;
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
    /// A `Result` whose error is itself serialisable (`Result<T, String>` among them) could be
    /// meant as an output too, and the compiler asks for a type; say which with
    /// [`result_handler`](AgentSpec::result_handler).
    pub fn handler<M>(self, handler: impl Handler<M>) -> Agent {
        Agent::new(self, handler.into_parts())
    }

    /// Makes a watcher: `function` is started when the agent is registered, and again after an
    /// error or a panic. It takes nothing or a [`Context`](crate::Context), and gives nothing or a
    /// `Result` of nothing.
    ///
    /// It is dropped when the agent is deregistered or the host shuts down.
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
        Agent::new(self, Background(function).into_parts())
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
    /// assert_eq!(agent.contract()?.output_schema.unwrap()["type"], "number");
    /// # Ok::<(), openagentmesh::Error>(())
    /// ```
    pub fn result_handler<M: ResultOutput>(self, handler: impl Handler<M>) -> Agent {
        Agent::new(self, handler.into_parts())
    }
}
