//! The `#[agent]` attribute of OpenAgentMesh.
//!
//! A function goes through two steps: `ast` reads it into what an agent is made of, or says what
//! to write instead; `expand` writes the code that makes the agent. `block` finds the agents among
//! the methods of an `impl` block.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod arguments;
mod ast;
mod block;
mod expand;

use proc_macro::TokenStream;
use quote::ToTokens;
use syn::ItemImpl;

/// Makes an agent of a function, which stays a function.
///
/// The agent's name is the function's, its description the first paragraph of the doc comment,
/// its schemas those of the types. `agents![name]` gives the agent for `AgentMesh::register`.
///
/// | function | shape |
/// |---|---|
/// | `async fn f(input: In) -> Out` | responder: answers each request |
/// | `fn f(input: In) -> impl Stream<Item = Out>` | streamer: answers each request with a stream |
/// | `async fn f() -> Out` | trigger: answers each request, takes no input |
/// | `fn f() -> impl Stream<Item = Out>` | publisher: publishes events while it is served |
/// | `async fn f()` | watcher: runs while it is served |
///
/// A `Context` may stand before the input, or alone. A watcher may give a `Result<(), E>`.
///
/// `In` needs `serde::Deserialize` and `schemars::JsonSchema`; `Out` needs `serde::Serialize` and
/// `schemars::JsonSchema`, or is a `Result` of such a type with any error.
///
/// # Arguments
///
/// | argument | meaning | if absent |
/// |---|---|---|
/// | `name = "…"` | the agent's name, dots and all | the function's name |
/// | `channel = "…"` | goes before the name, with a dot | none |
/// | `description = "…"` | what callers and models choose the agent by | the doc comment |
/// | `tags = ["…", …]` | words that the catalog can be filtered by | none |
/// | `version = "…"` | the agent's own version | `0.1.0` |
/// | `concurrency = n` | how many requests run at once | 64 |
/// | `queue = n` | how many requests wait beyond those | 1024 |
///
/// # Agents with state
///
/// Above an `impl` block, it makes agents of the methods that are marked too. They take `&self` or
/// `self: Arc<Self>`; `TheType::agents(value)` gives them for `AgentMesh::register`, and they share the
/// value. `channel` above the block goes for all of them.
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
///     /// Opens a ticket and tells its number.
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
/// # What it adds
///
/// The function is left as it is. Beside it stands a hidden type of its name, which `agents![…]`
/// finds. So a function in a module of the same name is not imported next to that module; name it
/// by its path, as in `agents![echo::echo]`. Beside an `impl` block stands another, with the function
/// `agents`.
///
/// # Errors
///
/// A function that cannot be an agent does not compile; the message says what to write instead.
#[proc_macro_attribute]
pub fn agent(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let item = proc_macro2::TokenStream::from(item);
    // The item stays after an error, so that whatever uses it gets no second one.
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
