//! The functions that can be handlers of agents.
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
//! `K` is [`Plain`](super::io::Plain) for an output and [`Fallible`] for a `Result` of one. [`WithContext`] marks a
//! function that takes a [`Context`] before its input. [`Background`] marks a watcher, because a
//! function without an output is also a trigger whose output is `()`.

use std::future::Future;
use std::marker::PhantomData;

use futures::Stream;

use super::context::Context;
use super::erased::ErasedHandler;
use super::io::{Fallible, Input, IntoEnd, IntoOutput};

/// A function that can serve requests: see [`AgentSpec::handler`](crate::AgentSpec::handler).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the handler of an agent",
    label = "not a handler",
    note = "a handler is `async fn(In) -> Out`, `async fn() -> Out`, \
            `fn(In) -> impl Stream<Item = Out>` or `fn() -> impl Stream<Item = Out>`; \
            a `Context` may stand before `In`",
    note = "`In` needs `#[derive(serde::Deserialize, schemars::JsonSchema)]` and is taken by value",
    note = "`Out` needs `#[derive(serde::Serialize, schemars::JsonSchema)]`, or is a `Result` of it",
    note = "state that requests share is not a parameter: a closure captures it, and with `#[agent]` on an \
            `impl` block it is a field of the type"
)]
pub trait Handler<M>: Send + Sync + 'static {
    /// The handler without its types.
    #[doc(hidden)]
    fn erase(self) -> ErasedHandler;
}

/// Marks a responder: takes an input, returns one output.
#[derive(Debug)]
pub struct Responder<In, K>(PhantomData<fn(In) -> K>);

/// Marks a trigger: takes no input, returns one output.
#[derive(Debug)]
pub struct Trigger<K>(PhantomData<fn() -> K>);

/// Marks a streamer: takes an input, returns a stream of outputs.
#[derive(Debug)]
pub struct Streamer<In, K>(PhantomData<fn(In) -> K>);

/// Marks a publisher: takes no input, returns a stream of events.
#[derive(Debug)]
pub struct Publisher<K>(PhantomData<fn() -> K>);

/// Marks a watcher: takes no input, returns no output.
#[derive(Debug)]
pub enum Watcher {}

/// Marks a handler of shape `M` that takes a [`Context`] first.
#[derive(Debug)]
pub struct WithContext<M>(PhantomData<fn() -> M>);

/// A function that runs in the background: the handler of a watcher.
#[derive(Debug, Clone, Copy)]
pub struct Background<F>(pub F);

/// Markers whose output is a `Result`.
pub trait ResultOutput {}

impl<In> ResultOutput for Responder<In, Fallible> {}
impl<In> ResultOutput for Streamer<In, Fallible> {}
impl ResultOutput for Trigger<Fallible> {}
impl ResultOutput for Publisher<Fallible> {}
impl<M: ResultOutput> ResultOutput for WithContext<M> {}

impl<F, Fut, In, K> Handler<Responder<In, K>> for F
where
    F: Fn(In) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoOutput<K>> + Send + 'static,
    In: Input,
    K: 'static,
{
    fn erase(self) -> ErasedHandler {
        ErasedHandler::responder(move |_, input| self(input))
    }
}

impl<F, Fut, In, K> Handler<WithContext<Responder<In, K>>> for F
where
    F: Fn(Context, In) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoOutput<K>> + Send + 'static,
    In: Input,
    K: 'static,
{
    fn erase(self) -> ErasedHandler {
        ErasedHandler::responder(move |context, input| self(context(), input))
    }
}

impl<F, Fut, K> Handler<Trigger<K>> for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoOutput<K>> + Send + 'static,
    K: 'static,
{
    fn erase(self) -> ErasedHandler {
        ErasedHandler::trigger(move |_| self())
    }
}

impl<F, Fut, K> Handler<WithContext<Trigger<K>>> for F
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoOutput<K>> + Send + 'static,
    K: 'static,
{
    fn erase(self) -> ErasedHandler {
        ErasedHandler::trigger(move |context| self(context()))
    }
}

impl<F, S, In, K> Handler<Streamer<In, K>> for F
where
    F: Fn(In) -> S + Send + Sync + 'static,
    S: Stream<Item: IntoOutput<K>> + Send + 'static,
    In: Input,
    K: 'static,
{
    fn erase(self) -> ErasedHandler {
        ErasedHandler::streamer(move |_, input| self(input))
    }
}

impl<F, S, In, K> Handler<WithContext<Streamer<In, K>>> for F
where
    F: Fn(Context, In) -> S + Send + Sync + 'static,
    S: Stream<Item: IntoOutput<K>> + Send + 'static,
    In: Input,
    K: 'static,
{
    fn erase(self) -> ErasedHandler {
        ErasedHandler::streamer(move |context, input| self(context(), input))
    }
}

impl<F, S, K> Handler<Publisher<K>> for F
where
    F: Fn() -> S + Send + Sync + 'static,
    S: Stream<Item: IntoOutput<K>> + Send + 'static,
    K: 'static,
{
    fn erase(self) -> ErasedHandler {
        ErasedHandler::publisher(move |_| self())
    }
}

impl<F, S, K> Handler<WithContext<Publisher<K>>> for F
where
    F: Fn(Context) -> S + Send + Sync + 'static,
    S: Stream<Item: IntoOutput<K>> + Send + 'static,
    K: 'static,
{
    fn erase(self) -> ErasedHandler {
        ErasedHandler::publisher(move |context| self(context()))
    }
}

#[diagnostic::do_not_recommend]
impl<F, Fut> Handler<Watcher> for Background<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoEnd> + Send + 'static,
{
    fn erase(self) -> ErasedHandler {
        ErasedHandler::watcher(move |_| self.0())
    }
}

#[diagnostic::do_not_recommend]
impl<F, Fut> Handler<WithContext<Watcher>> for Background<F>
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoEnd> + Send + 'static,
{
    fn erase(self) -> ErasedHandler {
        ErasedHandler::watcher(move |context| self.0(context()))
    }
}
