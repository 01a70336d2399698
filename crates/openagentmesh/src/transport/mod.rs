//! Everything that touches the NATS client: dialing, reconnecting, publishing, replies, headers.

mod any_address;
mod client_events;
mod client_slot;
mod connection;
mod connection_guard;
mod contexts;
mod credentials;
mod denial;
mod denials;
mod detached;
mod diagnosis;
mod dial;
mod dialer;
mod endpoint;
mod headers;
mod host_watch;
mod inbox;
mod lame_duck;
mod message_queue;
mod monitor;
mod multiplexer;
mod nats_events;
mod options;
mod panic_hook;
mod publisher;
mod redial;
mod renewal;
mod replicated;
mod replication;
mod reply_token;
mod send_gate;
mod servers;
mod state;
mod streams;
mod subscription;
mod traffic;
mod trust;
mod url;
mod url_file;

pub use contexts::{MeshContext, MeshContexts};
pub use endpoint::{
    CONTEXT_VARIABLE, CREDENTIALS_VARIABLE, Endpoint, EndpointSource, URL_FILE, URL_VARIABLE,
};
pub use nats_events::NatsEvents;
pub use replication::REPLICAS_VARIABLE;
pub use state::{ConnectionState, ConnectionStates};

pub(crate) use client_slot::ClientSlot;
pub(crate) use connection::Connection;
pub(crate) use connection_guard::ConnectionGuard;
pub(crate) use credentials::expand_home;
pub(crate) use denial::{Action, Denial};
pub(crate) use denials::DenialWatch;
pub(crate) use dial::{dial, user};
pub(crate) use headers::{
    Outgoing, Received, check_subject, closed, header, memory, plain_headers, too_large,
};
pub(crate) use host_watch::Death;
pub(crate) use inbox::{Inbox, PendingReply};
pub(crate) use message_queue::{Limit, MessageQueue, Queued};
pub(crate) use monitor::ConnectionMonitor;
pub(crate) use multiplexer::{Entry, Multiplexer, Numbered, NumberedMessages, Table};
pub(crate) use options::{ClientCertificate, ConnectionOptions, Credentials, Secret};
pub(crate) use publisher::{Publisher, Publishing, while_chunks_are_held};
pub(crate) use replication::{MAX_REPLICAS, Replication, out_of_range};
pub(crate) use streams::IncomingChunks;
pub(crate) use subscription::Subscription;
pub(crate) use traffic::OutgoingBytes;
pub use url::{DEFAULT_URL, redacted_url};
