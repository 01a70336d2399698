//! Calling agents.

mod call;
mod replies;

pub use call::Call;

pub(crate) use replies::Replies;
