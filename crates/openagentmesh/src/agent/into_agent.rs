//! Making an agent of a spec and a handler.

use super::definition::Agent;
use super::handler::{Background, Handler, ResultOutput};
use super::raw::RawHandler;
use super::spec::AgentSpec;

impl AgentSpec {
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
    /// assert_eq!(agent.contract()?.output_schema.unwrap()["type"], "number");
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
    /// assert_eq!(agent.contract()?.output_schema.unwrap()["type"], "string");
    /// # Ok::<(), openagentmesh::Error>(())
    /// ```
    pub fn raw(self, handler: RawHandler) -> Agent {
        Agent::new(self, handler.erase())
    }
}
