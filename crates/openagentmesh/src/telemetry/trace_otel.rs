//! The W3C trace context, between `tracing` spans and the headers of requests.

use openagentmesh_protocol::{Headers, Visible};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::error::Result;
use crate::telemetry::{Exchange, Interceptor};

/// Runs each handler in a span of its own, a child of the span that the request was sent in.
pub(super) struct TraceHost;

impl Interceptor for TraceHost {
    fn before(&self, exchange: &mut Exchange) -> Result<()> {
        let span = tracing::info_span!(
            "request",
            otel.name = exchange.agent().as_str(),
            otel.kind = "server",
            agent = %exchange.agent(),
            request_id = %Visible(exchange.request_id()),
        );
        let parent = TraceContextPropagator::new().extract(&Received(exchange.headers()));
        if let Err(error) = span.set_parent(parent) {
            tracing::trace!(?error, "the span has no remote parent");
        }
        exchange.set_span(span);
        Ok(())
    }
}

/// Adds the context of the request's span, or else of the current span, to the headers of each request that
/// is sent.
pub(super) struct TraceClient;

impl Interceptor for TraceClient {
    fn before(&self, exchange: &mut Exchange) -> Result<()> {
        let context = match exchange.span() {
            Some(span) => span.context(),
            None => Span::current().context(),
        };
        let mut headers = Sent(exchange.headers_mut());
        TraceContextPropagator::new().inject_context(&context, &mut headers);
        Ok(())
    }
}

struct Sent<'h>(&'h mut Headers);

impl Injector for Sent<'_> {
    fn set(&mut self, name: &str, value: String) {
        if !value.is_empty() {
            self.0.set(name, value);
        }
    }
}

struct Received<'h>(&'h Headers);

impl Extractor for Received<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use openagentmesh_protocol::{AgentName, RequestId, Verb, header};
    use opentelemetry::trace::{TraceContextExt, TracerProvider};
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn exchange(headers: Headers) -> Exchange {
        let agent = AgentName::new("echo").unwrap();
        Exchange::new(agent, Verb::Call, RequestId::random(), headers)
    }

    #[test]
    fn context_that_a_client_sends_is_the_parent_of_the_hosts_span() {
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));

        let mut sent = exchange(Headers::default());
        let caller = tracing::info_span!("caller");
        caller.in_scope(|| TraceClient.before(&mut sent).unwrap());
        let trace = caller.context().span().span_context().trace_id();
        let traceparent = sent.headers().get(header::TRACEPARENT).unwrap();
        assert!(traceparent.contains(&trace.to_string()), "{traceparent}");

        let mut received = exchange(sent.headers().clone());
        TraceHost.before(&mut received).unwrap();
        let context = received.span().unwrap().context();
        assert_eq!(context.span().span_context().trace_id(), trace);
    }

    #[test]
    fn client_without_a_span_sends_no_context() {
        let mut sent = exchange(Headers::default());
        TraceClient.before(&mut sent).unwrap();
        assert_eq!(sent.headers().iter().count(), 0);
    }
}
