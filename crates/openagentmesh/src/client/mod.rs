//! Calling agents.

mod call;

pub use call::Call;
