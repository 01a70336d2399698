//! Agents: specs, handlers and the contexts of their requests.

mod agent_fn;
mod context;
mod counted;
mod decode;
mod definition;
mod erased;
mod generated;
mod handler;
mod into_agents;
mod io;
mod objects;
mod produced;
mod raw;
mod typed;

pub use agent_fn::AgentFn;
pub use context::Context;
pub use definition::{Agent, AgentSpec};
pub use generated::{HandlerError, IsResult, KeepError, first_paragraph, not_blank};
pub use handler::{
    Background, Handler, Publisher, Responder, ResultOutput, Streamer, Trigger, Watcher,
    WithContext,
};
pub use into_agents::{Each, IntoAgents, One};
pub use io::{Fallible, Input, IntoEnd, IntoOutput, Plain};
pub use produced::{Items, produced};
pub use raw::{RawHandler, RawRequest};

pub(crate) use context::{Inner as ContextInner, ReportedUsage};
pub(crate) use erased::{Chunks, DecodeError, HandlerFn, Invocation, Running, StreamFn, UnaryFn};
