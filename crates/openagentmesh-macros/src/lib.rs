//! The `#[agent]` attribute of OpenAgentMesh.
//!
//! `ast` parses a function into the parts of an agent, its parameters with `inputs`, or fails with a message
//! that says what to write instead. `expand` generates the code that constructs the agent, `typed` that of its typed calls.
//! `block` finds the agents among the methods of an `impl` block. `agent_error` is the derive of error
//! codes.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod agent_error;
mod arguments;
mod ast;
mod block;
mod expand;
mod inputs;
mod listed;
mod syntax;
mod typed;

use proc_macro::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::ItemImpl;

/// Makes a function an agent. The function itself is unchanged.
///
/// The agent takes its name from the function, its description from the first paragraph of the doc
/// comment, and its schemas from the types. `agents![name]` is the agent for
/// `AgentMesh::register`.
///
/// | function | shape |
/// |---|---|
/// | `async fn f(input: In) -> Out` | responder: answers each request |
/// | `fn f(input: In) -> impl Stream<Item = Out>` | streamer: answers each request with a stream |
/// | `async fn f() -> Out` | trigger: answers each request, takes no input |
/// | `fn f() -> impl Stream<Item = Out>` | publisher: publishes events while it is served |
/// | `async fn f()` | watcher: runs while it is served |
///
/// A `Context` may precede the input or be the only argument. A watcher may return `Result<(), E>`.
///
/// `In` needs `serde::Deserialize` and `schemars::JsonSchema`. `Out` needs `serde::Serialize` and
/// `schemars::JsonSchema`, or is a `Result` of such a type with any error.
///
/// # Arguments
///
/// | argument | meaning | default |
/// |---|---|---|
/// | `name = "…"` | the agent's name, which may contain dots | the function's name |
/// | `channel = "…"` | prefix of the name, joined by a dot | none |
/// | `description = "…"` | description, by which callers and models choose the agent | the doc comment |
/// | `tags = ["…", …]` | tags to filter the catalog by | none |
/// | `version = "…"` | the agent's version | `0.1.0` |
/// | `concurrency = n` | maximum number of requests that run concurrently | 64 |
/// | `queue = n` | maximum number of requests that wait for a free place | 1024 |
/// | `idempotent` | a repetition of a request has the same effect as the request itself, so that callers may retry it after a timeout | not said |
/// | `timeout = "30s"` | time that one request may run, with the unit `ms`, `s`, `m` or `h`; the host then drops the handler and answers `timeout` | none |
///
/// All values but `name` and `channel` may be constants, too: `description = TEXT`, `timeout = LIMIT` with a
/// `Duration`. The doc comment may be a file: `#[doc = include_str!("agent.md")]`.
///
/// # Agents with state
///
/// Above an `impl` block, the attribute makes agents of the methods that carry it too. They take
/// `&self` or `self: Arc<Self>` and share one value: `TheType::agents(value)` returns them for
/// `AgentMesh::register`. `channel` above the block applies to all of them.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use openagentmesh::agent;
///
/// #[derive(Default)]
/// struct Desk {
///     tickets: AtomicU64,
/// }
///
/// #[agent(channel = "desk")]
/// impl Desk {
///     /// Opens a ticket and returns its number.
///     #[agent]
///     async fn open(&self, subject: String) -> u64 {
///         self.tickets.fetch_add(1, Ordering::Relaxed)
///     }
/// }
///
/// let agents = Desk::agents(Desk::default());
/// assert_eq!(agents[0].name(), "desk.open");
/// ```
///
/// A method with `#[cfg(…)]` is an agent only in builds that have the method.
///
/// # Typed calls
///
/// Next to a function stands a type of its name, with the agent's name as `NAME` and one function for each
/// verb of its shape: `call` and `send`, `stream`, or `subscribe`. They take the mesh and the function's
/// input, or a reference to it, and have its output type. The functions for a method are named after it:
/// `call_open` and `send_open`. They are as visible as the function or method.
///
/// ```no_run
/// use openagentmesh::{AgentMesh, agent};
///
/// /// Adds two numbers.
/// #[agent(channel = "math")]
/// async fn add((a, b): (i64, i64)) -> i64 {
///     a + b
/// }
///
/// # async fn example(mesh: AgentMesh) -> openagentmesh::Result<()> {
/// assert_eq!(add::NAME, "math.add");
/// let sum = add::call(&mesh, (1, 2)).await?;
/// # Ok(())
/// # }
/// ```
///
/// A call needs `serde::Serialize` for the input and `serde::Deserialize` for the output.
///
/// # Errors that callers can act on
///
/// If the error of a `Result` converts into `openagentmesh::Error`, the caller gets its code; see
/// [`AgentError`](macro@AgentError). Any other error is answered `handler_error`.
///
/// # Generated items
///
/// A type with the function's name, which `agents![…]` refers to. The type and a module of the
/// same name cannot be imported together: write a path instead, as in `agents![echo::echo]`. For an
/// `impl` block, a further `impl` block with the function `agents` and the typed calls.
///
/// # Errors
///
/// A function that cannot be an agent fails to compile. The message says what to write instead.
#[proc_macro_attribute]
pub fn agent(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let item = proc_macro2::TokenStream::from(item);
    // After an error the item is still emitted, so that its uses cause no further errors.
    let (expanded, item) = match syn::parse2::<ItemImpl>(item.clone()) {
        Ok(mut block) => {
            let marks = block::take_marks(&mut block);
            let agents = block::parse(arguments.into(), &block, &marks);
            let expanded = agents.map(|agents| expand::block(&agents, &block));
            (expanded, block.into_token_stream())
        }
        Err(_) => {
            let parsed = ast::parse_function(arguments.into(), item.clone());
            let expanded = parsed.map(|(agent, function)| expand::function(&agent, &function));
            (expanded, item)
        }
    };
    match expanded {
        Ok(expanded) => expanded.into(),
        Err(error) => {
            let errors = error.into_compile_error();
            quote::quote!(#item #errors).into()
        }
    }
}

/// Gives the variants of an error enum codes that callers can match on.
///
/// A handler that fails with a variant with `#[agent_error(code = "…")]` answers this code. The message is
/// the variant's `Display` text. A field with `#[agent_error(detail)]` is in the details of the error, under
/// its name. A variant without a code is answered `handler_error`, as any other error. The type must
/// implement `std::error::Error`. A struct has its code above itself.
///
/// ```
/// use std::fmt;
///
/// use openagentmesh::{AgentError, Error, agent};
///
/// #[derive(Debug, AgentError)]
/// enum OrderError {
///     #[agent_error(code = "no_such_article")]
///     NoSuchArticle(String),
///     #[agent_error(code = "out_of_stock")]
///     OutOfStock {
///         #[agent_error(detail)]
///         left: u32,
///     },
///     Database(std::io::Error),
/// }
///
/// impl fmt::Display for OrderError {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         match self {
///             Self::NoSuchArticle(sku) => write!(f, "no article {sku}"),
///             Self::OutOfStock { left } => write!(f, "only {left} left"),
///             Self::Database(error) => write!(f, "the database failed: {error}"),
///         }
///     }
/// }
///
/// impl std::error::Error for OrderError {}
///
/// /// Orders an article.
/// #[agent]
/// async fn order(sku: String) -> Result<u32, OrderError> {
///     Err(OrderError::NoSuchArticle(sku))
/// }
///
/// let error = Error::from(OrderError::OutOfStock { left: 2 });
/// assert_eq!(*error.code(), "out_of_stock");
/// assert_eq!(error.message(), "only 2 left");
/// assert_eq!(error.details()["left"], 2);
/// ```
///
/// The derive writes `impl From<OrderError> for openagentmesh::Error`; a hand-written one serves alike.
///
/// # Errors
///
/// A type without any code, and an invalid code, fail to compile.
#[proc_macro_derive(AgentError, attributes(agent_error))]
pub fn agent_error(input: TokenStream) -> TokenStream {
    let derived = syn::parse(input).and_then(|input| agent_error::derive(&input));
    derived
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// The output of `agents!`, which passes the path of the SDK in brackets before the list.
#[doc(hidden)]
#[proc_macro]
pub fn listed_agents(input: TokenStream) -> TokenStream {
    let mut input = input.into_iter();
    let krate = match input.next() {
        Some(TokenTree::Group(krate)) => krate.stream().into(),
        _ => return TokenStream::new(),
    };
    listed::expand(&krate, input.collect::<TokenStream>().into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
