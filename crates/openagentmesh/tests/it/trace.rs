//! Traces across processes: the caller's span is the parent of the handler's.
#![cfg(feature = "otel")]

use crate::support::{TestMesh, eventually, within};
use futures::{StreamExt, TryStreamExt, stream};
use openagentmesh::{AgentSpec, Context};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tracing::Instrument;
use tracing_subscriber::layer::SubscriberExt;

/// Exports the ended spans as long as the guard lives.
fn collect_spans() -> (InMemorySpanExporter, tracing::subscriber::DefaultGuard) {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let subscriber = tracing_subscriber::registry().with(layer);
    (exporter, tracing::subscriber::set_default(subscriber))
}

async fn span(exporter: &InMemorySpanExporter, name: &str) -> SpanData {
    eventually(|| async {
        let spans = exporter.get_finished_spans().unwrap();
        spans.into_iter().find(|span| span.name == name)
    })
    .await
}

#[tokio::test]
async fn handler_span_is_a_child_of_its_callers_span() {
    let (exporter, _guard) = collect_spans();
    let test = TestMesh::start().await;
    let inner = AgentSpec::new("inner", "Is called by the outer agent.").handler(|| async { 1 });
    let outer = AgentSpec::new("outer", "Calls the inner agent.")
        .handler(|ctx: Context| async move { ctx.mesh().call::<u32>("inner", ()).await });
    let counter = AgentSpec::new("counter", "Counts.").handler(|to: u32| stream::iter(0..to));
    test.mesh.register([inner, outer, counter]).await.unwrap();
    let raw = test.raw().await;
    let mut requests = crate::support::subscribed(&raw, "mesh.agent.outer").await;

    let work = async {
        within(test.mesh.call::<u32>("outer", ())).await.unwrap();
        let chunks = within(test.mesh.stream::<u32>("counter", 3)).await.unwrap();
        within(chunks.try_collect::<Vec<_>>()).await.unwrap();
    };
    work.instrument(tracing::info_span!("caller")).await;

    let caller = span(&exporter, "caller").await;
    let outer = span(&exporter, "outer").await;
    let inner = span(&exporter, "inner").await;
    let counter = span(&exporter, "counter").await;
    for span in [&outer, &inner, &counter] {
        assert_eq!(span.span_context.trace_id(), caller.span_context.trace_id());
    }
    assert_eq!(outer.parent_span_id, caller.span_context.span_id());
    assert_eq!(inner.parent_span_id, outer.span_context.span_id());
    assert_eq!(counter.parent_span_id, caller.span_context.span_id());

    let headers = within(requests.next()).await.unwrap().headers.unwrap();
    let traceparent = headers.get("traceparent").unwrap().as_str();
    assert_eq!(
        traceparent,
        format!(
            "00-{}-{}-01",
            caller.span_context.trace_id(),
            caller.span_context.span_id()
        )
    );
}

#[tokio::test]
async fn call_without_a_span_sends_no_traceparent() {
    // The first thread that reaches a span decides for all threads whether it is collected.
    let (_exporter, _guard) = collect_spans();
    let test = TestMesh::start().await;
    let agent = AgentSpec::new("headers", "Replies with a header.")
        .handler(|ctx: Context| async move { ctx.header("traceparent").map(str::to_owned) });
    test.mesh.register(agent).await.unwrap();
    let header = within(test.mesh.call::<Option<String>>("headers", ()))
        .await
        .unwrap();
    assert_eq!(header, None);
}
