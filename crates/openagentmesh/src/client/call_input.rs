//! The inputs of typed calls.

use serde::Serialize;

/// A value that can be sent to an agent whose input is `In`: an `In`, a reference to one, or `&str` for a
/// `String`. The input of the typed calls that `#[agent]` makes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as the input `{In}` of an agent",
    label = "not the input of the agent",
    note = "a call takes `{In}` or `&{In}`, and `{In}` needs `#[derive(serde::Serialize)]` for its callers"
)]
pub trait CallInput<In>: Serialize {}

#[diagnostic::do_not_recommend]
impl<T: Serialize> CallInput<T> for T {}

#[diagnostic::do_not_recommend]
impl<T: Serialize> CallInput<T> for &T {}

#[diagnostic::do_not_recommend]
impl CallInput<String> for &str {}
