//! The W3C trace context, between `tracing` spans and the headers of requests.

use openagentmesh_protocol::{AgentName, RequestHeaders, header};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Puts the context of the current span into the headers of a request.
pub(crate) fn inject(request: &mut RequestHeaders) {
    let context = Span::current().context();
    TraceContextPropagator::new().inject_context(&context, &mut Carrier(request));
}

/// Runs `work` in a span of its own, a child of the one that its request was sent in.
pub(crate) fn in_span<F: Future>(
    agent: &AgentName,
    request: &RequestHeaders,
    work: F,
) -> impl Future<Output = F::Output> + use<F> {
    let span = tracing::info_span!(
        "agent",
        otel.name = agent.as_str(),
        otel.kind = "server",
        request_id = request.request_id.as_ref().map(tracing::field::display),
    );
    let parent = TraceContextPropagator::new().extract(&Received(request));
    if let Err(error) = span.set_parent(parent) {
        tracing::trace!(?error, "the span has no parent on the other side");
    }
    work.instrument(span)
}

struct Carrier<'r>(&'r mut RequestHeaders);

impl Injector for Carrier<'_> {
    fn set(&mut self, name: &str, value: String) {
        let value = Some(value).filter(|value| !value.is_empty());
        match name {
            header::TRACEPARENT => self.0.traceparent = value,
            header::TRACESTATE => self.0.tracestate = value,
            _ => {}
        }
    }
}

struct Received<'r>(&'r RequestHeaders);

impl Extractor for Received<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        match name {
            header::TRACEPARENT => self.0.traceparent.as_deref(),
            header::TRACESTATE => self.0.tracestate.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![header::TRACEPARENT, header::TRACESTATE]
    }
}
