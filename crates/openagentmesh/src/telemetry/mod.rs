//! What the SDK reports about its requests: outcomes, interceptors, and the traces built on them.

mod interceptor;
mod outcome;
pub(crate) mod trace;

pub use interceptor::{Completion, Exchange, Extensions, Interceptor};
pub use outcome::{CancelReason, Outcome};

pub(crate) use interceptor::Interceptors;
