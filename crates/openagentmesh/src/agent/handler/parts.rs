//! A handler without its types: from the bytes of a request to the bytes of its reply.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};
use openagentmesh_protocol::Shape;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Input, IntoEnd, IntoOutput};
use crate::agent::Context;
use crate::error::BoxError;
use crate::schema::{InputSchema, SchemaText, is_unit, output_schema};

/// A handler without its types.
#[doc(hidden)]
#[derive(Clone)]
pub struct Parts {
    pub(crate) shape: Shape,
    pub(crate) input: Option<Arc<InputSchema>>,
    pub(crate) output: Option<SchemaText>,
    pub(crate) chunk: Option<SchemaText>,
    pub(crate) run: Run,
}

/// What to do for a request; for publishers and watchers, what to do all the time.
#[derive(Clone)]
pub(crate) enum Run {
    /// Gives one value.
    Once(Arc<Once>),
    /// Gives many.
    Many(Arc<Many>),
}

/// Starts a handler that gives one value.
pub(crate) type Once = dyn Fn(Invocation<'_>) -> Result<Running, DecodeError> + Send + Sync;

/// Starts a handler that gives many.
pub(crate) type Many = dyn Fn(Invocation<'_>) -> Result<Chunks, DecodeError> + Send + Sync;

/// What a handler is started with.
#[derive(Clone, Copy)]
pub(crate) struct Invocation<'a> {
    pub(crate) body: &'a [u8],
    /// Made only for handlers that take one.
    pub(crate) context: MakeContext<'a>,
}

type MakeContext<'a> = &'a dyn Fn() -> Context;

/// A running handler; it ends with the encoded output.
pub(crate) type Running = BoxFuture<'static, Result<Bytes, BoxError>>;

/// A running handler of many values, each encoded.
pub(crate) type Chunks = BoxStream<'static, Result<Bytes, BoxError>>;

/// Why an input could not be made into the handler's type.
pub(crate) struct DecodeError {
    /// Where in the input, as a JSON pointer.
    pub(crate) location: String,
    pub(crate) message: String,
}

impl Parts {
    pub(super) fn responder<In, Fut, K>(
        function: impl Fn(MakeContext<'_>, In) -> Fut + Send + Sync + 'static,
    ) -> Self
    where
        In: Input,
        Fut: Future<Output: IntoOutput<K>> + Send + 'static,
        K: 'static,
    {
        Self {
            shape: Shape::Responder,
            input: Some(Arc::new(InputSchema::of::<In>())),
            output: output_schema::<<Fut::Output as IntoOutput<K>>::Output>(),
            chunk: None,
            run: Run::Once(Arc::new(move |invocation| {
                let input = decode(invocation.body)?;
                Ok(encoded(function(invocation.context, input)))
            })),
        }
    }

    pub(super) fn trigger<Fut, K>(
        function: impl Fn(MakeContext<'_>) -> Fut + Send + Sync + 'static,
    ) -> Self
    where
        Fut: Future<Output: IntoOutput<K>> + Send + 'static,
        K: 'static,
    {
        Self {
            shape: Shape::Trigger,
            input: None,
            output: output_schema::<<Fut::Output as IntoOutput<K>>::Output>(),
            chunk: None,
            run: Run::Once(Arc::new(move |invocation| {
                Ok(encoded(function(invocation.context)))
            })),
        }
    }

    pub(super) fn streamer<In, S, K>(
        function: impl Fn(MakeContext<'_>, In) -> S + Send + Sync + 'static,
    ) -> Self
    where
        In: Input,
        S: Stream<Item: IntoOutput<K>> + Send + 'static,
        K: 'static,
    {
        Self {
            shape: Shape::Streamer,
            input: Some(Arc::new(InputSchema::of::<In>())),
            output: None,
            chunk: output_schema::<<S::Item as IntoOutput<K>>::Output>(),
            run: Run::Many(Arc::new(move |invocation| {
                let input = decode(invocation.body)?;
                Ok(chunks(function(invocation.context, input)))
            })),
        }
    }

    pub(super) fn publisher<S, K>(
        function: impl Fn(MakeContext<'_>) -> S + Send + Sync + 'static,
    ) -> Self
    where
        S: Stream<Item: IntoOutput<K>> + Send + 'static,
        K: 'static,
    {
        Self {
            shape: Shape::Publisher,
            input: None,
            output: None,
            chunk: output_schema::<<S::Item as IntoOutput<K>>::Output>(),
            run: Run::Many(Arc::new(move |invocation| {
                Ok(chunks(function(invocation.context)))
            })),
        }
    }

    pub(super) fn watcher<Fut>(
        function: impl Fn(MakeContext<'_>) -> Fut + Send + Sync + 'static,
    ) -> Self
    where
        Fut: Future<Output: IntoEnd> + Send + 'static,
    {
        Self {
            shape: Shape::Watcher,
            input: None,
            output: None,
            chunk: None,
            run: Run::Once(Arc::new(move |invocation| {
                let running = function(invocation.context);
                Ok(running
                    .map(|end| end.into_end().map(|()| Bytes::new()))
                    .boxed())
            })),
        }
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
    K: 'static,
{
    future.map(encode).boxed()
}

fn chunks<S, K>(stream: S) -> Chunks
where
    S: Stream<Item: IntoOutput<K>> + Send + 'static,
    K: 'static,
{
    stream.map(encode).boxed()
}

fn encode<T: IntoOutput<K>, K>(output: T) -> Result<Bytes, BoxError> {
    to_json(&output.into_output()?)
}

fn to_json<T: Serialize + 'static>(output: &T) -> Result<Bytes, BoxError> {
    if is_unit::<T>() {
        return Ok(Bytes::from_static(b"{}"));
    }
    Ok(serde_json::to_vec(output)?.into())
}
