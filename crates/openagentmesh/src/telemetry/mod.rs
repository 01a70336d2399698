//! Observation of requests: their outcomes, interceptors around them, and traces.

mod interceptor;
mod outcome;
pub(crate) mod trace;

pub use interceptor::{Completion, Exchange, Extensions, Interceptor};
pub use outcome::{CancelReason, Outcome};

pub(crate) use interceptor::Interceptors;
