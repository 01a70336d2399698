//! The name of an agent and the limits of its host.

use std::num::NonZeroUsize;

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
    /// by default.
    ///
    /// A further request is answered `overloaded` at once.
    pub fn queue(mut self, limit: usize) -> Self {
        self.queue = limit;
        self
    }
}
