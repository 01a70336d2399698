//! Small helpers that every layer may use.

pub(crate) mod abort;
pub(crate) mod backoff;
pub(crate) mod deferred;
pub(crate) mod operation;
pub(crate) mod panic;
pub(crate) mod retry_budget;
pub(crate) mod single_flight;
pub(crate) mod sync;
