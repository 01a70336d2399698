//! A handler without its types: from the bytes of a request to the bytes of its reply.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use openagentmesh_protocol::Shape;

use super::context::Context;
use crate::error::BoxError;
use crate::schema::{InputSchema, SchemaText};

/// A handler without its types.
#[doc(hidden)]
#[derive(Clone)]
pub struct ErasedHandler {
    pub(crate) shape: Shape,
    pub(crate) input: Option<Arc<InputSchema>>,
    pub(crate) output: Option<SchemaText>,
    pub(crate) chunk: Option<SchemaText>,
    pub(crate) function: HandlerFn,
    /// The reason why the agent cannot be registered.
    pub(crate) defect: Option<String>,
}

/// The function that the host runs for a request; for publishers and watchers, while the agent is
/// served.
#[derive(Clone)]
pub(crate) enum HandlerFn {
    /// Returns one value.
    Unary(Arc<UnaryFn>),
    /// Returns a stream of values.
    Stream(Arc<StreamFn>),
}

/// Starts a handler that returns one value.
pub(crate) type UnaryFn = dyn Fn(Invocation<'_>) -> Result<Running, DecodeError> + Send + Sync;

/// Starts a handler that returns a stream of values.
pub(crate) type StreamFn = dyn Fn(Invocation<'_>) -> Result<Chunks, DecodeError> + Send + Sync;

/// The request that a handler is started with.
#[derive(Clone, Copy)]
pub(crate) struct Invocation<'a> {
    pub(crate) body: &'a [u8],
    /// Called only for handlers that take a context.
    pub(crate) context: MakeContext<'a>,
}

pub(super) type MakeContext<'a> = &'a dyn Fn() -> Context;

/// A running handler; resolves with the encoded output.
pub(crate) type Running = BoxFuture<'static, Result<Bytes, BoxError>>;

/// The output of a running handler of many values, each encoded.
pub(crate) type Chunks = BoxStream<'static, Result<Bytes, BoxError>>;

/// The reason why an input could not be decoded.
pub(crate) struct DecodeError {
    /// The undecodable part of the input, as a JSON pointer.
    pub(crate) location: String,
    pub(crate) message: String,
    /// Whether the input takes too much memory when it is decoded.
    pub(crate) is_too_large: bool,
}
