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
//! `K` tells an output ([`Plain`]) from a `Result` of one ([`Fallible`]). A watcher is said to be
//! one, because a function that gives nothing is also a trigger whose output is `()`.
//!
//! Every shape has its contract. Hosts serve responders and triggers; the others are refused at
//! registration.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream};
use openagentmesh_protocol::Shape;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::schema::{InputSchema, is_unit, output_schema};
use crate::error::BoxError;

/// A function that can serve requests: see [`AgentSpec::handler`](crate::AgentSpec::handler).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the handler of an agent",
    label = "not a handler",
    note = "a handler is `async fn(In) -> Out` or `async fn() -> Out`",
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

/// What a handler may return: a value, or a `Result` of one.
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

/// A handler without its types.
#[doc(hidden)]
#[derive(Clone)]
pub struct Parts {
    pub(crate) shape: Shape,
    pub(crate) input: Option<Arc<InputSchema>>,
    pub(crate) output: Option<Value>,
    pub(crate) chunk: Option<Value>,
    /// What serves a request; `None` for the shapes that hosts do not serve.
    pub(crate) handler: Option<Arc<dyn Unary>>,
}

impl Parts {
    /// A shape that hosts do not serve.
    fn unserved(shape: Shape) -> Self {
        Self {
            shape,
            input: None,
            output: None,
            chunk: None,
            handler: None,
        }
    }
}

/// Why an input could not be made into the handler's type.
pub(crate) struct DecodeError {
    /// Where in the input, as a JSON pointer.
    pub(crate) location: String,
    pub(crate) message: String,
}

/// A running handler; it ends with the encoded output.
pub(crate) type Running = BoxFuture<'static, Result<Bytes, BoxError>>;

/// A handler that gives one output, from the body of a request to the body of its reply.
pub(crate) trait Unary: Send + Sync {
    /// Decodes `body` and calls the handler, which runs as the returned future is polled.
    fn start(&self, body: &[u8]) -> Result<Running, DecodeError>;
}

struct WithInput<F, In, K> {
    function: F,
    types: PhantomData<fn(In) -> K>,
}

struct WithoutInput<F, K> {
    function: F,
    types: PhantomData<fn() -> K>,
}

impl<F, Fut, In, K> Handler<Responder<In, K>> for F
where
    F: Fn(In) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoOutput<K>> + Send + 'static,
    In: Input,
    K: 'static,
{
    fn into_parts(self) -> Parts {
        Parts {
            shape: Shape::Responder,
            input: Some(Arc::new(InputSchema::of::<In>())),
            output: output_schema::<<Fut::Output as IntoOutput<K>>::Output>(),
            chunk: None,
            handler: Some(Arc::new(WithInput {
                function: self,
                types: PhantomData,
            })),
        }
    }
}

impl<F, Fut, K> Handler<Trigger<K>> for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoOutput<K>> + Send + 'static,
    K: 'static,
{
    fn into_parts(self) -> Parts {
        Parts {
            shape: Shape::Trigger,
            input: None,
            output: output_schema::<<Fut::Output as IntoOutput<K>>::Output>(),
            chunk: None,
            handler: Some(Arc::new(WithoutInput {
                function: self,
                types: PhantomData,
            })),
        }
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
        Parts {
            input: Some(Arc::new(InputSchema::of::<In>())),
            chunk: output_schema::<<S::Item as IntoOutput<K>>::Output>(),
            ..Parts::unserved(Shape::Streamer)
        }
    }
}

impl<F, S, K> Handler<Publisher<K>> for F
where
    F: Fn() -> S + Send + Sync + 'static,
    S: Stream<Item: IntoOutput<K>> + Send + 'static,
    K: 'static,
{
    fn into_parts(self) -> Parts {
        Parts {
            chunk: output_schema::<<S::Item as IntoOutput<K>>::Output>(),
            ..Parts::unserved(Shape::Publisher)
        }
    }
}

#[diagnostic::do_not_recommend]
impl<F, Fut> Handler<Watcher> for Background<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    fn into_parts(self) -> Parts {
        Parts::unserved(Shape::Watcher)
    }
}

impl<F, Fut, In, K> Unary for WithInput<F, In, K>
where
    F: Fn(In) -> Fut + Send + Sync,
    Fut: Future<Output: IntoOutput<K>> + Send + 'static,
    In: DeserializeOwned,
{
    fn start(&self, body: &[u8]) -> Result<Running, DecodeError> {
        let input = decode(body)?;
        Ok(encoded((self.function)(input)))
    }
}

impl<F, Fut, K> Unary for WithoutInput<F, K>
where
    F: Fn() -> Fut + Send + Sync,
    Fut: Future<Output: IntoOutput<K>> + Send + 'static,
{
    fn start(&self, _body: &[u8]) -> Result<Running, DecodeError> {
        Ok(encoded((self.function)()))
    }
}

/// An empty body is "no input", which a type with an optional input reads as `null`.
fn decode<In: DeserializeOwned>(body: &[u8]) -> Result<In, DecodeError> {
    let body = if body.is_empty() { b"null" } else { body };
    if let Ok(input) = serde_json::from_slice(body) {
        return Ok(input);
    }
    // Only a failed input is read again, more slowly, to learn where it failed.
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| DecodeError {
            location: json_pointer(error.path()),
            message: error.into_inner().to_string(),
        })
        .and_then(|input| {
            deserializer.end().map_err(|error| DecodeError {
                location: String::new(),
                message: error.to_string(),
            })?;
            Ok(input)
        })
}

fn json_pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

fn encoded<Fut, K>(future: Fut) -> Running
where
    Fut: Future<Output: IntoOutput<K>> + Send + 'static,
{
    future
        .map(|output| {
            let output = output.into_output()?;
            if is_unit::<<Fut::Output as IntoOutput<K>>::Output>() {
                return Ok(Bytes::from_static(b"{}"));
            }
            Ok(serde_json::to_vec(&output)?.into())
        })
        .boxed()
}
