//! Typed handlers: encoding the output.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt};
use openagentmesh_protocol::Shape;
use serde::Serialize;

use super::decode::{decode, decodes};
use super::erased::{Chunks, ErasedHandler, HandlerFn, MakeContext, Running};
use super::io::{Input, IntoEnd, IntoOutput};
use crate::error::BoxError;
use crate::schema::{InputSchema, is_unit, output_schema};

impl ErasedHandler {
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
            input: Some(Arc::new(InputSchema::of::<In>(decodes::<In>))),
            output: output_schema::<<Fut::Output as IntoOutput<K>>::Output>(),
            chunk: None,
            defect: None,
            function: HandlerFn::Unary(Arc::new(move |invocation| {
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
            defect: None,
            function: HandlerFn::Unary(Arc::new(move |invocation| {
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
            input: Some(Arc::new(InputSchema::of::<In>(decodes::<In>))),
            output: None,
            chunk: output_schema::<<S::Item as IntoOutput<K>>::Output>(),
            defect: None,
            function: HandlerFn::Stream(Arc::new(move |invocation| {
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
            defect: None,
            function: HandlerFn::Stream(Arc::new(move |invocation| {
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
            defect: None,
            function: HandlerFn::Unary(Arc::new(move |invocation| {
                let running = function(invocation.context);
                Ok(running
                    .map(|end| end.into_end().map(|()| Bytes::new()))
                    .boxed())
            })),
        }
    }
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
