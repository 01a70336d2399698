//! Traces across processes. With the feature `otel`, two interceptors carry the W3C trace context in the
//! headers of requests. Without it, nothing of this is compiled.

use std::sync::Arc;

use super::{Interceptor, Interceptors};

#[cfg(feature = "otel")]
#[path = "trace_otel.rs"]
mod otel;

/// The interceptors of a host: the one for traces, then `added`.
pub(crate) fn host_interceptors(added: &[Arc<dyn Interceptor>]) -> Interceptors {
    #[cfg(feature = "otel")]
    let added = &with_first(Arc::new(otel::TraceHost), added);
    Interceptors::new(added)
}

/// The interceptors of a client: the one for traces, then `added`.
pub(crate) fn client_interceptors(added: &[Arc<dyn Interceptor>]) -> Interceptors {
    #[cfg(feature = "otel")]
    let added = &with_first(Arc::new(otel::TraceClient), added);
    Interceptors::new(added)
}

#[cfg(feature = "otel")]
fn with_first(
    first: Arc<dyn Interceptor>,
    added: &[Arc<dyn Interceptor>],
) -> Vec<Arc<dyn Interceptor>> {
    std::iter::once(first)
        .chain(added.iter().cloned())
        .collect()
}
