//! The calling side: requests to agents, events, and queries of the catalog.
//!
//! [`Client`] is defined in `handle`. Each verb has a file of its own, with its method of `Client` and the
//! builder that the method returns. `request` has what all requests share, `sent` waits for a single reply,
//! `intercept` runs the interceptors, `reply` decodes, `local` runs agents of this process in place of a mesh.

mod buckets;
mod call;
mod call_input;
mod chunk_batch;
mod chunk_source;
mod chunks;
mod contract;
mod credit_window;
mod deadline;
mod events;
mod extra_headers;
mod from_reply;
mod handle;
mod inspect;
mod instances;
mod intercept;
mod local;
mod local_catalog;
mod publish;
mod query;
mod receive_buffer;
mod reply;
mod request;
mod retry;
mod send;
mod sent;
mod sequence_tracker;
mod stream;
mod subscribe;
mod tools;
mod toolset;
mod wait_for;

pub use call::Call;
pub use call_input::CallInput;
pub use chunks::Chunks;
pub use events::{Event, Events};
pub use from_reply::{Decodable, FromReply};
pub use handle::Client;
pub use inspect::{CatalogStatus, Finding, Inspection, ServerStatus, Severity};
pub use publish::Publish;
pub use query::Query;
pub use retry::Retry;
pub use send::{Reply, SendRequest};
pub use stream::StreamRequest;
pub use subscribe::{RawSubscribe, Subscribe};
pub use tools::ToolsQuery;
pub use toolset::{ToolResult, Toolset};
pub use wait_for::WaitFor;

pub(crate) use request::mismatch;
