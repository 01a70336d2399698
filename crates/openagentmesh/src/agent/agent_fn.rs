//! The connection of `#[agent]` and `agents!`.

use super::definition::Agent;

/// A function with `#[agent]`. Named only by the macros.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an agent",
    label = "not a function with `#[agent]`",
    note = "`agents!` takes functions with `#[agent]`; the agents of an `impl` block are \
            `Type::agents(value)`"
)]
pub trait AgentFn {
    /// The agent.
    fn agent() -> Agent;
}
