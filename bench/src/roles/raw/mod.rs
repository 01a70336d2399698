//! The bare client, as a user of `async-nats` would write it.

mod caller;
mod host;
mod sink;

pub(super) use caller::Caller;
pub(super) use host::serve;
pub(super) use sink::{SINK, counted};

use async_nats::{HeaderMap, HeaderName};
use bytes::Bytes;
use openagentmesh::protocol::{HeaderSink, RequestHeaders};
use openagentmesh::{InstanceId, RequestId};
use serde::{Deserialize, Serialize};

use super::body;
use crate::measure::BodySize;

/// The subjects have the length of the protocol's, because longer ones cost more.
const ECHO: &str = "mesh.agent.raw.echo";
pub(super) const SERVICE_ECHO: &str = "mesh.agent.service.echo";
const RELAY: &str = "mesh.agent.raw.relay";
const CHUNKS: &str = "mesh.agent.raw.chunks";
const EVENTS: &str = "mesh.agent.raw.news.events";
/// The header that names the agent of a reply, with the value of this SDK's echo.
const SOURCE: &str = "bench.echo";
/// A bucket with the default configuration of `async-nats`.
const BUCKET: &str = "raw-values";

fn json_body(size: BodySize) -> Bytes {
    Bytes::from_static(body::json_body(size).as_bytes())
}

/// A request for messages.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::roles) enum Order {
    /// So many bodies of a size.
    Bodies(u32, BodySize),
    /// A token stream of so many messages.
    Tokens(u32),
}

impl Order {
    fn messages(&self) -> u32 {
        let (Self::Bodies(messages, _) | Self::Tokens(messages)) = self;
        *messages
    }
}

/// Headers of the protocol.
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
