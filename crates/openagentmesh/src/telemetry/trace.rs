//! Traces across processes: with the feature `otel`, requests carry the current span's context, and
//! handlers run in a child of it. Without it, nothing of this is compiled.

#[cfg(feature = "otel")]
#[path = "trace_otel.rs"]
mod otel;

#[cfg(feature = "otel")]
pub(crate) use otel::{in_span, inject};

#[cfg(not(feature = "otel"))]
pub(crate) use nothing::{in_span, inject};

#[cfg(not(feature = "otel"))]
mod nothing {
    use openagentmesh_protocol::{AgentName, RequestHeaders};

    pub(crate) fn inject(_request: &mut RequestHeaders) {}

    pub(crate) fn in_span<F: Future>(_agent: &AgentName, _request: &RequestHeaders, work: F) -> F {
        work
    }
}
