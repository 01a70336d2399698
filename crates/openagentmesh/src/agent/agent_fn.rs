//! The connection of `#[agent]` and `agents!`.

use super::definition::Agent;

/// A function with `#[agent]`. Named only by the macros.
#[doc(hidden)]
pub trait AgentFn {
    /// The agent.
    fn agent() -> Agent;
}
