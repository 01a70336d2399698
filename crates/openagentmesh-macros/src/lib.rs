//! The `#[agent]` attribute of OpenAgentMesh.
//!
//! `ast` parses a function into the parts of an agent, or fails with a message that says what to
//! write instead. `expand` generates the code that constructs the agent. `block` finds the agents
//! among the methods of an `impl` block.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod arguments;
mod ast;
mod block;
mod expand;

use proc_macro::TokenStream;
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
/// # Generated items
///
/// A hidden type with the function's name, which `agents![…]` refers to. The type and a module of the
/// same name cannot be imported together: write a path instead, as in `agents![echo::echo]`. For an
/// `impl` block, a further `impl` block with the function `agents`.
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
