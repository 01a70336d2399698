//! Handlers: which functions can be agents, and what is left of them once their types are gone.
//!
//! [`Handler<M>`] is implemented for plain functions. Its parameter is a marker type, one per
//! shape, that lets the compiler tell the implementations apart and find the one that fits:
//!
//! | shape | function | marker |
//! |---|---|---|
//! | responder | `async fn(In) -> Out` | [`Responder<In, K>`] |
//! | streamer | `fn(In) -> impl Stream<Item = Out>` | [`Streamer<In, K>`] |
//! | trigger | `async fn() -> Out` | [`Trigger<K>`] |
//! | publisher | `fn() -> impl Stream<Item = Out>` | [`Publisher<K>`] |
//! | watcher | `async fn()` in [`Background`] | [`Watcher`] |
//!
//! `K` tells an output ([`Plain`]) from a `Result` of one ([`Fallible`]). A [`Context`] may stand
//! before the input, which [`WithContext`] says. A watcher is said to be one, because a function
//! that gives nothing is also a trigger whose output is `()`.

mod parts;

use std::future::Future;
use std::marker::PhantomData;

use futures::Stream;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::context::Context;
use crate::error::BoxError;

pub(super) use parts::Parts;
pub(crate) use parts::{Chunks, DecodeError, Invocation, Many, Once, Run, Running};

/// A function that can serve requests: see [`AgentSpec::handler`](crate::AgentSpec::handler).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the handler of an agent",
    label = "not a handler",
    note = "a handler is `async fn(In) -> Out`, `async fn() -> Out`, \
            `fn(In) -> impl Stream<Item = Out>` or `fn() -> impl Stream<Item = Out>`; \
            a `Context` may stand before `In`",
    note = "`In` needs `#[derive(serde::Deserialize, schemars::JsonSchema)]` and is taken by value",
    note = "`Out` needs `#[derive(serde::Serialize, schemars::JsonSchema)]`, or is a `Result` of it"
)]
pub trait Handler<M>: Send + Sync + 'static {
    /// Takes the function apart.
    #[doc(hidden)]
    fn into_parts(self) -> Parts;
}

/// Marks a responder: takes an input, gives one output.
#[derive(Debug)]
pub struct Responder<In, K>(PhantomData<fn(In) -> K>);

/// Marks a trigger: takes nothing, gives one output.
#[derive(Debug)]
pub struct Trigger<K>(PhantomData<fn() -> K>);

/// Marks a streamer: takes an input, gives a stream of outputs.
#[derive(Debug)]
pub struct Streamer<In, K>(PhantomData<fn(In) -> K>);

/// Marks a publisher: takes nothing, gives a stream of events.
#[derive(Debug)]
pub struct Publisher<K>(PhantomData<fn() -> K>);

/// Marks a watcher: takes nothing, gives nothing.
#[derive(Debug)]
pub enum Watcher {}

/// Marks a handler of shape `M` that takes a [`Context`] first.
#[derive(Debug)]
pub struct WithContext<M>(PhantomData<fn() -> M>);

/// A function that runs in the background: the handler of a watcher.
#[derive(Debug, Clone, Copy)]
pub struct Background<F>(pub F);

/// Marks an output that is the value itself.
#[derive(Debug)]
pub enum Plain {}

/// Marks an output that is a `Result` of the value.
#[derive(Debug)]
pub enum Fallible {}

/// Markers whose output is a `Result`.
pub trait ResultOutput {}

impl<In> ResultOutput for Responder<In, Fallible> {}
impl<In> ResultOutput for Streamer<In, Fallible> {}
impl ResultOutput for Trigger<Fallible> {}
impl ResultOutput for Publisher<Fallible> {}
impl<M: ResultOutput> ResultOutput for WithContext<M> {}

/// What a handler may take: anything that serde can read and schemars can describe.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the input of an agent",
    label = "not an input",
    note = "an input needs `#[derive(serde::Deserialize, schemars::JsonSchema)]` \
            and owns its data (`String`, not `&str`)"
)]
pub trait Input: DeserializeOwned + JsonSchema + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned + JsonSchema + Send + 'static> Input for T {}

/// What a handler may give: a value, or a `Result` of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the output of an agent",
    label = "not an output",
    note = "an output needs `#[derive(serde::Serialize, schemars::JsonSchema)]`, or is a `Result` \
            of such a type with any error that converts into `Box<dyn Error + Send + Sync>`"
)]
pub trait IntoOutput<K>: Send + 'static {
    /// The value that goes over the wire.
    type Output: Serialize + JsonSchema + 'static;

    /// The value, or what the handler failed with.
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

/// How a watcher may end: with nothing, or a `Result` of it.
#[diagnostic::on_unimplemented(
    message = "a watcher gives nothing, and `{Self}` is something",
    label = "not nothing",
    note = "a watcher is `async fn()` or `async fn() -> Result<(), E>` with any error"
)]
pub trait IntoEnd: Send + 'static {
    /// Nothing, or what the watcher failed with.
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

impl<F, Fut, In, K> Handler<Responder<In, K>> for F
where
    F: Fn(In) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoOutput<K>> + Send + 'static,
    In: Input,
    K: 'static,
{
    fn into_parts(self) -> Parts {
        Parts::responder(move |_, input| self(input))
    }
}

impl<F, Fut, In, K> Handler<WithContext<Responder<In, K>>> for F
where
    F: Fn(Context, In) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoOutput<K>> + Send + 'static,
    In: Input,
    K: 'static,
{
    fn into_parts(self) -> Parts {
        Parts::responder(move |context, input| self(context(), input))
    }
}

impl<F, Fut, K> Handler<Trigger<K>> for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoOutput<K>> + Send + 'static,
    K: 'static,
{
    fn into_parts(self) -> Parts {
        Parts::trigger(move |_| self())
    }
}

impl<F, Fut, K> Handler<WithContext<Trigger<K>>> for F
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoOutput<K>> + Send + 'static,
    K: 'static,
{
    fn into_parts(self) -> Parts {
        Parts::trigger(move |context| self(context()))
    }
}

impl<F, S, In, K> Handler<Streamer<In, K>> for F
where
    F: Fn(In) -> S + Send + Sync + 'static,
    S: Stream<Item: IntoOutput<K>> + Send + 'static,
    In: Input,
    K: 'static,
{
    fn into_parts(self) -> Parts {
        Parts::streamer(move |_, input| self(input))
    }
}

impl<F, S, In, K> Handler<WithContext<Streamer<In, K>>> for F
where
    F: Fn(Context, In) -> S + Send + Sync + 'static,
    S: Stream<Item: IntoOutput<K>> + Send + 'static,
    In: Input,
    K: 'static,
{
    fn into_parts(self) -> Parts {
        Parts::streamer(move |context, input| self(context(), input))
    }
}

impl<F, S, K> Handler<Publisher<K>> for F
where
    F: Fn() -> S + Send + Sync + 'static,
    S: Stream<Item: IntoOutput<K>> + Send + 'static,
    K: 'static,
{
    fn into_parts(self) -> Parts {
        Parts::publisher(move |_| self())
    }
}

impl<F, S, K> Handler<WithContext<Publisher<K>>> for F
where
    F: Fn(Context) -> S + Send + Sync + 'static,
    S: Stream<Item: IntoOutput<K>> + Send + 'static,
    K: 'static,
{
    fn into_parts(self) -> Parts {
        Parts::publisher(move |context| self(context()))
    }
}

#[diagnostic::do_not_recommend]
impl<F, Fut> Handler<Watcher> for Background<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoEnd> + Send + 'static,
{
    fn into_parts(self) -> Parts {
        Parts::watcher(move |_| self.0())
    }
}

#[diagnostic::do_not_recommend]
impl<F, Fut> Handler<WithContext<Watcher>> for Background<F>
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoEnd> + Send + 'static,
{
    fn into_parts(self) -> Parts {
        Parts::watcher(move |context| self.0(context()))
    }
}
