//! The inputs and outputs of typed handlers.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::BoxError;

/// Marks an output that is the value itself.
#[derive(Debug)]
pub enum Plain {}

/// Marks an output that is a `Result` of the value.
#[derive(Debug)]
pub enum Fallible {}

/// The input of a handler: any type that serde deserialises and schemars describes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the input of an agent",
    label = "not an input",
    note = "an input needs `#[derive(serde::Deserialize, schemars::JsonSchema)]` \
            and owns its data (`String`, not `&str`)"
)]
pub trait Input: DeserializeOwned + JsonSchema + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned + JsonSchema + Send + 'static> Input for T {}

/// The output of a handler: a value, or a `Result` of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the output of an agent",
    label = "not an output",
    note = "an output needs `#[derive(serde::Serialize, schemars::JsonSchema)]`, or is a `Result` \
            of such a type with any error that converts into `Box<dyn Error + Send + Sync>`"
)]
pub trait IntoOutput<K>: Send + 'static {
    /// The value that goes over the wire.
    type Output: Serialize + JsonSchema + 'static;

    /// The value, or the handler's error.
    ///
    /// # Errors
    ///
    /// The handler's own.
    fn into_output(self) -> Result<Self::Output, BoxError>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + JsonSchema + Send + 'static> IntoOutput<Plain> for T {
    type Output = T;

    fn into_output(self) -> Result<T, BoxError> {
        Ok(self)
    }
}

#[diagnostic::do_not_recommend]
impl<T, E> IntoOutput<Fallible> for Result<T, E>
where
    T: Serialize + JsonSchema + Send + 'static,
    E: Into<BoxError> + Send + 'static,
{
    type Output = T;

    fn into_output(self) -> Result<T, BoxError> {
        self.map_err(Into::into)
    }
}

/// The end of a watcher: `()`, or a `Result` of it.
#[diagnostic::on_unimplemented(
    message = "a watcher returns `()` or a `Result` of it, not `{Self}`",
    label = "not the end of a watcher",
    note = "a watcher is `async fn()` or `async fn() -> Result<(), E>` with any error"
)]
pub trait IntoEnd: Send + 'static {
    /// `()`, or the watcher's error.
    ///
    /// # Errors
    ///
    /// The watcher's own.
    fn into_end(self) -> Result<(), BoxError>;
}

impl IntoEnd for () {
    fn into_end(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError> + Send + 'static> IntoEnd for Result<(), E> {
    fn into_end(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}
