//! Contexts without a mesh, and the agents that answer their requests in this process.

mod answers;
mod builder;

pub use builder::ContextBuilder;
