//! The OpenAgentMesh wire protocol as Rust types.
//!
//! The crate defines exactly what peers on a mesh must agree on: agent [`name`]s and the
//! [`subject`]s made of them, [`header`]s and [`envelope`]s, the [`ErrorObject`], [`Contract`] and
//! [`CatalogEntry`], instance records and death notices, log events, and the tool definitions of a contract for language
//! models ([`tool`]).
//!
//! The crate does no I/O, reads no clock and needs no async runtime. Its input comes from other
//! processes, so no input makes a parser panic.
//!
//! ```
//! use openagentmesh_protocol::{AgentName, subject};
//!
//! let name = AgentName::new("nlp.summarizer")?;
//! assert_eq!(name.channel(), Some("nlp"));
//! assert_eq!(subject::agent(&name), "mesh.agent.nlp.summarizer");
//! # Ok::<(), openagentmesh_protocol::InvalidName>(())
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod bucket;
pub mod catalog;
pub mod contract;
pub mod envelope;
pub mod error;
pub mod header;
pub mod id;
mod lenient;
pub mod liveness;
pub mod log;
pub mod object;
pub mod shape;
pub mod signal;
pub mod subject;
pub mod tool;
pub mod usage;
pub mod user;

pub use catalog::{CatalogDocument, CatalogEntry, CatalogFilter};
pub use contract::Contract;
pub use envelope::{ChunkHeaders, ContentType, ReplyHeaders, RequestHeaders, Status};
pub use error::{ErrorCode, ErrorObject, MAX_DETAILS_BYTES};
pub use header::{HeaderError, HeaderSink, HeaderSource, Headers};
pub use id::{InstanceId, RequestId};
pub use liveness::{
    ConnectionId, DeathNotice, DeathReason, InstanceNotice, InstanceRecord, InstanceState,
    MAX_INSTANCE_AGENTS,
};
pub use log::{LogEvent, LogLevel};
pub use openagentmesh_name as name;
pub use openagentmesh_name::{AgentName, InvalidName, Visible};
pub use shape::{Capabilities, Shape, Verb};
pub use signal::CallerSignal;
pub use subject::Subject;
pub use usage::Usage;
pub use user::{InvalidUserToken, UserToken};
