//! The same over the same server without the SDK: as a user of `async-nats` would write it.

mod caller;
mod host;

pub(super) use caller::Caller;
pub(super) use host::serve;

use async_nats::{HeaderMap, HeaderName};
use bytes::Bytes;
use openagentmesh::protocol::{HeaderSink, RequestHeaders};
use openagentmesh::{InstanceId, RequestId};

use super::body_of;

/// What a subscription serves, and what the service API does: subjects as the protocol has them, because
/// longer ones take longer.
const ECHO: &str = "mesh.agent.raw.echo";
pub(super) const SERVICE_ECHO: &str = "mesh.agent.service.echo";
const RELAY: &str = "mesh.agent.raw.relay";
const CHUNKS: &str = "mesh.agent.raw.chunks";
const EVENTS: &str = "mesh.agent.raw.news.events";
/// A bucket as `async-nats` makes it.
const BUCKET: &str = "raw-values";

fn json_body(bytes: usize) -> Bytes {
    format!("\"{}\"", body_of(bytes)).into()
}

/// Headers that the protocol writes.
#[derive(Default)]
struct Headers(HeaderMap);

impl HeaderSink for Headers {
    fn put(&mut self, name: &'static str, value: &str) {
        self.0.insert(HeaderName::from_static(name), value);
    }
}

/// The headers of a request by `instance_id`.
fn request_headers(instance_id: &InstanceId) -> HeaderMap {
    let mut headers = Headers::default();
    RequestHeaders {
        request_id: Some(RequestId::random()),
        instance_id: Some(instance_id.clone()),
        timeout_ms: Some(30_000),
        probe: true,
        ..RequestHeaders::default()
    }
    .write(&mut headers);
    headers.0
}
