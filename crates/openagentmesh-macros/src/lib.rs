//! The `#[agent]` attribute of OpenAgentMesh.
//!
//! A function goes through two steps: `ast` reads it into what an agent is made of, or says what
//! to write instead; `expand` writes the code that makes the agent.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod arguments;
mod ast;
mod expand;

use proc_macro::TokenStream;

/// Makes an agent of a function, which stays a function.
///
/// The agent's name is the function's, its description the first paragraph of the doc comment,
/// its schemas those of the types. `agents![name]` gives the agent for `AgentMesh::register`.
///
/// | function | shape |
/// |---|---|
/// | `async fn f(input: In) -> Out` | responder: answers each request |
/// | `async fn f() -> Out` | trigger: answers each request, takes no input |
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
/// # What it adds
///
/// The function is left as it is. Beside it stands a hidden type of its name, which `agents![…]`
/// finds. So a function in a module of the same name is not imported next to that module; name it
/// by its path, as in `agents![echo::echo]`.
///
/// # Errors
///
/// A function that cannot be an agent does not compile; the message says what to write instead.
#[proc_macro_attribute]
pub fn agent(arguments: TokenStream, function: TokenStream) -> TokenStream {
    let function = proc_macro2::TokenStream::from(function);
    match ast::AgentFunction::parse(arguments.into(), function.clone()) {
        Ok(agent) => expand::expand(&agent).into(),
        // The function stays, so that whatever calls it gets no second error.
        Err(error) => {
            let errors = error.into_compile_error();
            quote::quote!(#function #errors).into()
        }
    }
}
