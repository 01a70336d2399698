//! OpenAgentMesh: agents are plain functions that find and call each other over NATS.
//!
//! An agent is a function. `#[agent]` derives its name, description, JSON Schemas and capabilities
//! from the function. Once the agent is registered, every process on the mesh can find it in the
//! catalog, read its contract and call it.
//!
//! ```no_run
//! use openagentmesh::{AgentMesh, agent, agents};
//!
//! /// Echoes a message back.
//! #[agent]
//! async fn echo(message: String) -> String {
//!     format!("Echo: {message}")
//! }
//!
//! #[tokio::main]
//! async fn main() -> openagentmesh::Result<()> {
//!     let mesh = AgentMesh::from_env().await?;
//!     mesh.serve(agents![echo]).await
//! }
//! ```
//!
//! A unit test calls the function directly, without a mesh. Another process calls the agent by name:
//!
//! ```no_run
//! # async fn example() -> openagentmesh::Result<()> {
//! let mesh = openagentmesh::AgentMesh::from_env().await?;
//! let reply: String = mesh.call("echo", "hello").await?;
//! assert_eq!(reply, "Echo: hello");
//! # Ok(())
//! # }
//! ```
//!
//! Where the function is in scope, `#[agent]` makes the call typed: `echo::call(&mesh, "hello")`. A call is a
//! future, which can be joined, spawned and selected; see [`Call`].
//!
//! # Shapes and verbs
//!
//! The shape of an agent follows from the arguments and the result of its function:
//!
//! | function | agent | verb |
//! |---|---|---|
//! | `async fn f(input: In) -> Out` | responder | [`call`](Client::call), [`send`](Client::send) |
//! | `fn f(input: In) -> impl Stream<Item = Out>` | streamer | [`stream`](Client::stream) |
//! | `async fn f() -> Out` | trigger | [`call`](Client::call), [`send`](Client::send) |
//! | `fn f() -> impl Stream<Item = Out>` | publisher | [`subscribe`](Client::subscribe) |
//! | `async fn f()` | watcher | |
//!
//! A function may take a [`Context`] before its input: the request's id, headers and deadline, and the
//! mesh, for calling other agents. A verb that does not fit the shape fails before a request is sent,
//! and the error names the verb that fits.
//!
//! ```
//! use futures::{Stream, TryStreamExt, stream};
//! use openagentmesh::{Context, Error, agent};
//!
//! /// Counts up to a number.
//! #[agent]
//! fn count(to: u32) -> impl Stream<Item = u32> {
//!     stream::iter(1..=to)
//! }
//!
//! /// Squares the numbers that another agent counts.
//! #[agent]
//! fn squares(ctx: Context, to: u32) -> impl Stream<Item = Result<u32, Error>> {
//!     stream::once(async move { ctx.mesh().stream::<u32>("count", to).await })
//!         .try_flatten()
//!         .map_ok(|n| n * n)
//! }
//! ```
//!
//! # Cancellation and deadlines
//!
//! When a call or a stream is dropped, times out, or loses its process, the host drops the handler. The
//! [deadline](Context::deadline) of a request applies to the calls that its handler makes. A slow
//! consumer slows its producer down.
//!
//! # Inputs and outputs
//!
//! An input is any type that serde deserialises and [`schemars`] describes, an output any type that
//! serde serialises. Restrictions of the schema (lengths, ranges, patterns, formats) are checked before the
//! handler runs. The error for an invalid input lists the problems with their locations.
//! The derives need `serde` (with its feature `derive`) and `schemars` 1 among the dependencies of the project.
//!
//! [`Contract::validate`] comes to the same verdict and lists the formats that are checked, such as `email`,
//! `uri`, `uuid` and `date-time`; other formats are ignored. A name from `#[serde(alias)]` is not part of the
//! schema, so an input needs the name in the schema. Patterns are those of ECMA-262 with the flag `u`. A type may
//! refuse more than its schema says, for example by `#[serde(try_from)]`: registration tries samples of the schema and
//! logs a warning when the type refuses one, or takes a name that the schema does not have.
//!
//! ```
//! use openagentmesh::agent;
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Summarize {
//!     /// The text to summarise.
//!     #[schemars(length(min = 1))]
//!     text: String,
//!     max_words: Option<u32>,
//! }
//!
//! /// Summarises a text.
//! #[agent(channel = "nlp", tags = ["text"], version = "1.0.0")]
//! async fn summarize(req: Summarize) -> Result<String, std::io::Error> {
//!     let words = req.max_words.unwrap_or(10) as usize;
//!     Ok(req.text.split_whitespace().take(words).collect::<Vec<_>>().join(" "))
//! }
//! ```
//!
//! An agent without Rust types, such as one of another language or protocol, takes and returns JSON as
//! bytes and gets its schemas at run time: see [`RawHandler`].
//!
//! # Errors that callers can act on
//!
//! A handler returns any error. The caller gets it as `handler_error`, with its message and causes. An error
//! that converts into [`Error`] keeps its own code, which the caller matches on. [`AgentError`] derives the
//! conversion for an enum; `impl From<OrderError> for Error` by hand serves alike.
//!
//! ```
//! use std::fmt;
//!
//! use openagentmesh::{AgentError, AgentMesh, agent};
//!
//! #[derive(Debug, AgentError)]
//! enum OrderError {
//!     #[agent_error(code = "no_such_article")]
//!     NoSuchArticle(String),
//!     #[agent_error(code = "out_of_stock")]
//!     OutOfStock {
//!         /// Part of the details of the error.
//!         #[agent_error(detail)]
//!         left: u32,
//!     },
//! }
//!
//! impl fmt::Display for OrderError {
//!     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
//!         match self {
//!             Self::NoSuchArticle(sku) => write!(f, "no article {sku}"),
//!             Self::OutOfStock { left } => write!(f, "only {left} left"),
//!         }
//!     }
//! }
//!
//! impl std::error::Error for OrderError {}
//!
//! /// Orders an article and returns the number of the order.
//! #[agent]
//! async fn order(sku: String) -> Result<u64, OrderError> {
//!     match sku.as_str() {
//!         "tea" => Ok(1),
//!         "jam" => Err(OrderError::OutOfStock { left: 0 }),
//!         _ => Err(OrderError::NoSuchArticle(sku)),
//!     }
//! }
//!
//! async fn buy(mesh: &AgentMesh) -> openagentmesh::Result<()> {
//!     match order::call(mesh, "jam").await {
//!         Ok(number) => println!("order {number}"),
//!         Err(error) if error.is("out_of_stock") => println!("{} left", error.details()["left"]),
//!         Err(error) => return Err(error),
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Discovery
//!
//! The [catalog](Client::catalog) has an entry for every agent. It can be filtered, and its
//! [changes](Query::watch) are a stream. A [`Contract`] has an agent's schemas, renders the agent as a
//! tool for a language model, and validates inputs.
//!
//! ```no_run
//! # async fn example(mesh: openagentmesh::AgentMesh) -> Result<(), Box<dyn std::error::Error>> {
//! for agent in mesh.catalog().channel("text").tag("fast").await? {
//!     println!("{}", agent.to_compact());
//! }
//! let contract = mesh.contract("text.count").await?;
//! contract.validate(serde_json::json!({"text": "one two"}))?;
//! println!("{}", contract.to_anthropic_tool()?);
//! # Ok(())
//! # }
//! ```
//!
//! [`tools`](Client::tools) selects agents as tools for a language model. The [`Toolset`] has their
//! definitions for each provider, and makes the calls that the model asks for.
//!
//! # Shared values and files
//!
//! [`kv`](Client::kv) stores values under keys, with compare-and-swap and watches.
//! [`workspace`](Client::workspace) stores files of any size.
//!
//! ```no_run
//! # async fn example(mesh: openagentmesh::AgentMesh) -> openagentmesh::Result<()> {
//! use openagentmesh::Json;
//!
//! mesh.kv().modify("visits", |entry| {
//!     let visits: u64 = entry.map_or(Ok(0), |entry| entry.json())?;
//!     Ok(Json(visits + 1))
//! }).await?;
//! mesh.workspace().put_file("reports/2026.pdf", "2026.pdf").await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Logs
//!
//! The SDK logs with the crate [`tracing`](https://docs.rs/tracing); a subscriber such as
//! `tracing_subscriber::fmt().init()` shows it. At INFO: connected, serving which agents, left; a lost
//! connection (WARN) and its return. A request that fails has one line with agent, request id, code and message:
//!
//! | failure | level |
//! |---|---|
//! | a panic, or an error without a code (`handler_error`) | WARN |
//! | an error with a code of the agent's own, `overloaded`, `payload_too_large` | INFO |
//! | the others, which are mistakes of the caller or ends of its request | DEBUG |
//!
//! A handler runs in a span with `agent` and `request_id`, which the log lines of the handler carry.
//!
//! # Testing
//!
//! A handler is a function that a test calls. [`Context::detached`] builds its context without a server, with
//! headers, a deadline, and agents that answer the requests of the handler.
//!
//! ```
//! use futures::{TryStreamExt, stream};
//! use openagentmesh::{Context, Error, ErrorCode, Result, agent, agents};
//!
//! /// Adds the numbers that another agent counts.
//! #[agent]
//! async fn sum(ctx: Context, to: u32) -> Result<u32> {
//!     let numbers = ctx.mesh().stream::<u32>("count", to).await?;
//!     numbers.try_fold(0, |sum, n| async move { Ok(sum + n) }).await
//! }
//!
//! /// Stands for the real agent.
//! #[agent]
//! fn count(to: u32) -> impl stream::Stream<Item = Result<u32>> {
//!     let limit = Error::new("limit_exceeded", "counts to 3 at most");
//!     stream::iter((1..=3).map(Ok).chain((to > 3).then_some(Err(limit))))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let ctx = Context::detached().answer(agents![count]).build();
//! assert_eq!(sum(ctx.clone(), 3).await?, 6);
//! assert!(sum(ctx, 4).await.is_err_and(|error| error.is("limit_exceeded")));
//!
//! let bare = Context::detached().build();
//! assert!(sum(bare, 1).await.is_err_and(|error| *error.code() == ErrorCode::NotFound));
//! # Ok(())
//! # }
//! ```
//!
//! With the feature `local`, `AgentMesh::local()` starts a server of the test's own, for tests with the
//! catalog, events, shared values or files.
//!
//! # Features
//!
//! | feature | |
//! |---|---|
//! | `local` | `AgentMesh::local()`: a private, real `nats-server` for tests and demos |
//! | `otel` | requests carry the W3C trace context of the current `tracing` span, and handlers run in a child of it |
//!
//! # Several hosts
//!
//! Processes that register the same name share its requests. Each process runs up to
//! [`concurrency`](AgentSpec::concurrency) requests at once and queues up to
//! [`queue`](AgentSpec::queue) more. It answers further requests with `overloaded`. A handler that
//! fails or panics fails only its own request.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod agent;
mod catalog;
mod client;
mod detached;
mod error;
mod host;
mod kv;
mod liveness;
mod mesh;
mod presence;
mod schema;
mod session;
mod store;
mod telemetry;
mod transport;
mod util;
mod workspace;

pub use agent::{Agent, AgentSpec, Context, IntoAgents, RawHandler, RawRequest};
pub use catalog::{CatalogChange, CatalogChanges, Contract};
pub use client::{
    Call, CallInput, Chunks, Client, Event, Events, FromReply, Publish, Query, RawSubscribe, Reply,
    Retry, SendRequest, StreamRequest, Subscribe, ToolResult, ToolsQuery, Toolset, WaitFor,
};
pub use detached::ContextBuilder;
pub use error::{BoxError, Error, Result};
pub use kv::{Json, Kv, KvChange, KvChanges, KvEntry, KvRevision, KvValue, KvWatch};
pub use liveness::{Instance, MonitorEvent};
pub use mesh::{AgentMesh, MeshBuilder, Monitor, shutdown_signal};
pub use store::BucketReplicas;
pub use telemetry::{CancelReason, Completion, Exchange, Extensions, Interceptor, Outcome};
pub use transport::{
    CONTEXT_VARIABLE, CREDENTIALS_VARIABLE, ConnectionState, ConnectionStates, DEFAULT_URL,
    Endpoint, EndpointSource, MeshContext, MeshContexts, NatsEvents, REPLICAS_VARIABLE, URL_FILE,
    URL_VARIABLE, redacted_url,
};
pub use util::operation::Operation;
pub use workspace::{
    Download, ObjectChange, ObjectChanges, ObjectInfo, ObjectReader, ObjectWatch, Progress, Upload,
    Workspace,
};

/// The traits by which functions become handlers, see [`AgentSpec::handler`], and the markers of
/// [`IntoAgents`].
pub mod handler {
    pub use crate::agent::{
        Background, Each, Fallible, Handler, Input, IntoEnd, IntoOutput, One, Plain, Publisher,
        Responder, ResultOutput, Streamer, Trigger, Watcher, WithContext,
    };
}

/// The state of a mesh, as [`Client::inspect`] returns it.
pub mod inspect {
    pub use crate::client::{CatalogStatus, Finding, Inspection, ServerStatus, Severity};
    pub use crate::liveness::{InstanceStatus, MonitorStatus, UnrecordedAgent};
    pub use crate::store::{BucketStatus, JetStreamStatus, PeerStatus, StoredBucket};
}

/// The version of this SDK, such as `0.1.0`.
pub const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

pub use async_nats;
pub use openagentmesh_macros::{AgentError, agent};
pub use openagentmesh_protocol as protocol;
pub use openagentmesh_protocol::tool::OpenAiApi;
pub use openagentmesh_protocol::{
    AgentName, CatalogEntry, CatalogFilter, ErrorCode, Headers, InstanceId, InstanceState,
    RequestId, Shape,
};
pub use tokio_util::sync::CancellationToken;

pub use futures;
pub use schemars;
pub use serde;
pub use serde_json;

/// Lists functions that have `#[agent]`, for [`AgentMesh::serve`] and [`AgentMesh::register`].
///
/// ```
/// use openagentmesh::{agent, agents};
///
/// mod math {
///     /// Adds two numbers.
///     #[openagentmesh::agent]
///     pub async fn add((a, b): (i64, i64)) -> i64 {
///         a + b
///     }
/// }
///
/// /// Returns the time of noon.
/// #[agent]
/// async fn noon() -> String {
///     "12:00".to_owned()
/// }
///
/// assert_eq!(agents![math::add, noon].len(), 2);
/// ```
#[macro_export]
macro_rules! agents {
    ($($agent:ty),* $(,)?) => {
        $crate::__private::listed_agents!([$crate] $($agent),*)
    };
}

/// The items that the output of the macros refers to.
#[doc(hidden)]
pub mod __private {
    pub use std::sync::Arc;

    pub use openagentmesh_macros::listed_agents;

    pub use crate::agent::{
        AgentFn, HandlerError, IsResult, Items, KeepError, first_paragraph, not_blank, produced,
    };
    pub use crate::client::Decodable;
    pub use crate::error::{detail, handler_error};

    /// Detects whether a type is a `Result`, also under an alias: the constant of the impl takes
    /// precedence over that of the trait.
    #[derive(Debug)]
    pub struct Probe<T>(std::marker::PhantomData<T>);

    /// Implemented for every type.
    pub trait NoResult {
        /// `false` for every type but `Result`.
        const IS_RESULT: bool = false;
    }

    impl<T> NoResult for Probe<T> {}

    impl<T, E> Probe<Result<T, E>> {
        /// `true` for a `Result`.
        pub const IS_RESULT: bool = true;
    }
}
