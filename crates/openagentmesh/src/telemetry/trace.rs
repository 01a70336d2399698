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
    let added = &[&[Arc::new(otel::TraceHost) as Arc<dyn Interceptor>], added].concat();
    Interceptors::new(added)
}

/// The interceptors of a client: `added`, then the one for traces, which sends the span that another one may
/// have set.
pub(crate) fn client_interceptors(added: &[Arc<dyn Interceptor>]) -> Interceptors {
    #[cfg(feature = "otel")]
    let added = &[added, &[Arc::new(otel::TraceClient)]].concat();
    Interceptors::new(added)
}
