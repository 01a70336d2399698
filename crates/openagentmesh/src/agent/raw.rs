//! Handlers without Rust types: JSON as bytes, schemas as JSON.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt, future};
use openagentmesh_protocol::Shape;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::context::Context;
use super::erased::{DecodeError, ErasedHandler, HandlerFn, Invocation};
use crate::error::BoxError;
use crate::schema::{InputSchema, SchemaText, any_schema, check_schema};

/// The request of a [`RawHandler`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RawRequest {
    /// The id, headers and deadline of the request, and the mesh.
    pub context: Context,
    /// The input, valid JSON that fits the input schema. `null` if the request had no body; empty for
    /// a shape that takes no input.
    pub body: Bytes,
}

impl RawRequest {
    /// A request with `body`: for tests that call a handler as a function.
    #[must_use]
    pub fn new(context: Context, body: Bytes) -> Self {
        Self { context, body }
    }
}

/// The handler of an agent without Rust types: for bridges to other languages and protocols, which
/// know the schemas only at run time.
///
/// | constructor | function | schemas |
/// |---|---|---|
/// | [`responder`](RawHandler::responder) | returns one output | input, output |
/// | [`streamer`](RawHandler::streamer) | returns a stream of chunks | input, chunk |
/// | [`trigger`](RawHandler::trigger) | takes no input, returns one output | output |
/// | [`publisher`](RawHandler::publisher) | takes no input, returns a stream of events | chunk |
/// | [`watcher`](RawHandler::watcher) | takes no input, returns no output | |
/// | [`of_shape`](RawHandler::of_shape) | returns a stream, for a shape chosen at run time | those of the shape |
///
/// The host checks an input before the handler runs: it answers `invalid_input` if the body is not
/// JSON or does not fit the input schema. A schema that is not given allows any JSON value. A handler that
/// [validates inputs itself](RawHandler::validates_input) gets every JSON value.
///
/// The function returns JSON. An output that is not JSON, such as an empty one, is answered
/// `handler_error`. Outputs are not checked against their schema. An error of
/// [`Error::new`](crate::Error::new) keeps its code; any other is answered `handler_error`. A schema that the
/// shape does not use fails registration with `invalid_input`.
///
/// If the request is cancelled, the returned future or stream is dropped.
///
/// ```
/// use bytes::Bytes;
/// use futures::{StreamExt, stream};
/// use openagentmesh::{AgentSpec, RawHandler, RawRequest};
/// use serde_json::{Value, json};
///
/// fn count(request: RawRequest) -> impl futures::Stream<Item = Result<Bytes, openagentmesh::BoxError>> {
///     let to = serde_json::from_slice::<u64>(&request.body).unwrap_or_default();
///     stream::iter(1..=to).map(|n| Ok(Bytes::from(n.to_string())))
/// }
///
/// let agent = AgentSpec::new("count", "Counts up to a number.").raw(
///     RawHandler::streamer(count)
///         .input_schema(json!({"type": "integer", "minimum": 0}))
///         .chunk_schema(json!({"type": "integer"})),
/// );
/// # Ok::<(), openagentmesh::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a handler becomes an agent with `AgentSpec::raw`"]
pub struct RawHandler {
    shape: Shape,
    function: HandlerFn,
    input: Option<Value>,
    output: Option<Value>,
    chunk: Option<Value>,
    validates_input: bool,
}

impl RawHandler {
    /// Answers each request with one output.
    pub fn responder<F, Fut>(function: F) -> Self
    where
        F: Fn(RawRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Bytes, BoxError>> + Send + 'static,
    {
        Self::unary(Shape::Responder, function)
    }

    /// Answers each request with a stream of chunks.
    pub fn streamer<F, S>(function: F) -> Self
    where
        F: Fn(RawRequest) -> S + Send + Sync + 'static,
        S: Stream<Item = Result<Bytes, BoxError>> + Send + 'static,
    {
        Self::streaming(Shape::Streamer, function)
    }

    /// Answers each request with one output, and takes no input.
    pub fn trigger<F, Fut>(function: F) -> Self
    where
        F: Fn(RawRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Bytes, BoxError>> + Send + 'static,
    {
        Self::unary(Shape::Trigger, function)
    }

    /// Publishes a stream of events while the agent is served. The function is called when the agent is
    /// registered, and again after an error or a panic.
    pub fn publisher<F, S>(function: F) -> Self
    where
        F: Fn(RawRequest) -> S + Send + Sync + 'static,
        S: Stream<Item = Result<Bytes, BoxError>> + Send + 'static,
    {
        Self::streaming(Shape::Publisher, function)
    }

    /// Runs while the agent is served. The function is called when the agent is registered, and again
    /// after an error or a panic.
    pub fn watcher<F, Fut>(function: F) -> Self
    where
        F: Fn(RawRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let unary = move |invocation: Invocation<'_>| {
            let ended = function(request(Shape::Watcher, invocation)?);
            Ok(ended.map(|end| end.map(|()| Bytes::new())).boxed())
        };
        Self::of(Shape::Watcher, HandlerFn::Unary(Arc::new(unary)))
    }

    /// A handler whose shape is known at run time. The function returns a stream for every shape:
    ///
    /// * responder and trigger: the first item is the output, and the stream is dropped after it. A
    ///   stream without an item is answered `handler_error`.
    /// * streamer and publisher: each item is a chunk or an event.
    /// * watcher: the stream runs until it ends or gives an error. Other items are ignored.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use futures::{StreamExt, stream};
    /// use openagentmesh::{AgentSpec, RawHandler, Shape};
    ///
    /// for shape in [Shape::Responder, Shape::Streamer] {
    ///     let handler = RawHandler::of_shape(shape, |request| {
    ///         stream::once(async move { Ok(request.body) })
    ///     });
    ///     let agent = AgentSpec::new("echo", "Returns its input.").raw(handler);
    ///     assert_eq!(agent.shape(), shape);
    /// }
    /// ```
    pub fn of_shape<F, S>(shape: Shape, function: F) -> Self
    where
        F: Fn(RawRequest) -> S + Send + Sync + 'static,
        S: Stream<Item = Result<Bytes, BoxError>> + Send + 'static,
    {
        match shape {
            Shape::Streamer | Shape::Publisher => Self::streaming(shape, function),
            Shape::Responder | Shape::Trigger => Self::unary(shape, move |request| {
                let stream = function(request);
                async move {
                    let first = std::pin::pin!(stream).next().await;
                    first.unwrap_or_else(|| {
                        Err("missing output: the handler's stream was empty; yield one item".into())
                    })
                }
            }),
            Shape::Watcher => Self::watcher(move |request| {
                function(request).try_for_each(|_| future::ready(Ok(())))
            }),
        }
    }

    /// The JSON Schema of the input, for responders and streamers.
    pub fn input_schema(mut self, schema: Value) -> Self {
        self.input = Some(schema);
        self
    }

    /// The JSON Schema of the output, for responders and triggers.
    pub fn output_schema(mut self, schema: Value) -> Self {
        self.output = Some(schema);
        self
    }

    /// The JSON Schema of each chunk or event, for streamers and publishers.
    pub fn chunk_schema(mut self, schema: Value) -> Self {
        self.chunk = Some(schema);
        self
    }

    /// The handler checks inputs against the input schema itself: the host only checks that they are JSON that does
    /// not take too much memory. For handlers whose own validation takes inputs that the schema does not describe, such
    /// as one that converts the text of a number.
    ///
    /// The handler answers an invalid input with the code `invalid_input`. The contract has the schemas unchanged; their
    /// keywords are not checked at registration.
    ///
    /// ```
    /// use openagentmesh::{AgentSpec, Error, ErrorCode, RawHandler};
    /// use serde_json::json;
    ///
    /// let agent = AgentSpec::new("double", "Doubles a number, or the text of one.").raw(
    ///     RawHandler::responder(|request| async move {
    ///         let text = String::from_utf8_lossy(&request.body).replace('"', "");
    ///         let number: i64 = text.parse().map_err(|_| {
    ///             Error::new(ErrorCode::InvalidInput, format!("invalid number '{text}': digits are allowed"))
    ///         })?;
    ///         Ok((2 * number).to_string().into())
    ///     })
    ///     .input_schema(json!({"type": "integer"}))
    ///     .validates_input(),
    /// );
    /// ```
    pub fn validates_input(mut self) -> Self {
        self.validates_input = true;
        self
    }

    fn of(shape: Shape, function: HandlerFn) -> Self {
        Self {
            shape,
            function,
            input: None,
            output: None,
            chunk: None,
            validates_input: false,
        }
    }

    fn unary<F, Fut>(shape: Shape, function: F) -> Self
    where
        F: Fn(RawRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Bytes, BoxError>> + Send + 'static,
    {
        let unary = move |invocation: Invocation<'_>| {
            let output = function(request(shape, invocation)?);
            Ok(output.map(checked).boxed())
        };
        Self::of(shape, HandlerFn::Unary(Arc::new(unary)))
    }

    fn streaming<F, S>(shape: Shape, function: F) -> Self
    where
        F: Fn(RawRequest) -> S + Send + Sync + 'static,
        S: Stream<Item = Result<Bytes, BoxError>> + Send + 'static,
    {
        let stream = move |invocation: Invocation<'_>| {
            let chunks = function(request(shape, invocation)?);
            Ok(chunks.map(checked).boxed())
        };
        Self::of(shape, HandlerFn::Stream(Arc::new(stream)))
    }

    pub(super) fn erase(self) -> ErasedHandler {
        let defect = self.defect();
        let text = |schema: Option<Value>, is_used: bool| {
            let schema = schema.or_else(|| is_used.then(any_schema));
            schema.map(|schema| SchemaText::new(&schema))
        };
        let input = match &self.input {
            Some(schema) if self.validates_input => Some(InputSchema::declared(schema)),
            Some(schema) => Some(InputSchema::untyped(schema)),
            None => takes_input(self.shape).then(|| InputSchema::new(&any_schema())),
        };
        ErasedHandler {
            shape: self.shape,
            input: input.map(Arc::new),
            output: text(self.output, has_output(self.shape)),
            chunk: text(self.chunk, has_chunks(self.shape)),
            function: self.function,
            defect,
        }
    }

    /// The reason why the agent cannot be registered.
    fn defect(&self) -> Option<String> {
        let shape = self.shape;
        [
            ("input", &self.input, takes_input(shape)),
            ("output", &self.output, has_output(shape)),
            ("chunk", &self.chunk, has_chunks(shape)),
        ]
        .into_iter()
        .find_map(|(name, schema, is_used)| {
            let schema = schema.as_ref()?;
            if !is_used {
                return Some(format!(
                    "unused {name} schema: a {shape} has none; remove it"
                ));
            }
            if self.validates_input && is_schema(schema) {
                // The handler may understand keywords and patterns that the host does not.
                return None;
            }
            let reason = check_schema(schema).err()?;
            Some(format!("invalid {name} schema: {reason}"))
        })
    }
}

impl std::fmt::Debug for RawHandler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawHandler")
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

fn is_schema(value: &Value) -> bool {
    value.is_object() || value.is_boolean()
}

fn takes_input(shape: Shape) -> bool {
    matches!(shape, Shape::Responder | Shape::Streamer)
}

fn has_output(shape: Shape) -> bool {
    matches!(shape, Shape::Responder | Shape::Trigger)
}

fn has_chunks(shape: Shape) -> bool {
    matches!(shape, Shape::Streamer | Shape::Publisher)
}

/// The request of a handler. Its body was checked against the input schema already.
fn request(shape: Shape, invocation: Invocation<'_>) -> Result<RawRequest, DecodeError> {
    let body = match (takes_input(shape), invocation.body) {
        (false, _) => Bytes::new(),
        (true, b"") => Bytes::from_static(b"null"),
        (true, body) => {
            check_json(body).map_err(|message| DecodeError {
                location: String::new(),
                message,
                is_too_large: false,
            })?;
            Bytes::copy_from_slice(body)
        }
    };
    Ok(RawRequest::new((invocation.context)(), body))
}

fn checked(output: Result<Bytes, BoxError>) -> Result<Bytes, BoxError> {
    let output = output?;
    check_json(&output).map_err(|reason| {
        format!("invalid output of the handler: {reason}; return one JSON value")
    })?;
    Ok(output)
}

fn check_json(bytes: &[u8]) -> Result<(), String> {
    // The JSON parser does not check the encoding of texts that it skips.
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    serde_json::from_str::<IgnoredAny>(text)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_check_refuses_broken_and_incomplete_texts() {
        assert!(check_json(b"{\"a\": [1, null]}").is_ok());
        for bytes in [&b""[..], b"{", b"1 2", b"\"\xff\""] {
            assert!(check_json(bytes).is_err(), "{bytes:?}");
        }
    }
}
