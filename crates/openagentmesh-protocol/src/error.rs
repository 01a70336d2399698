//! The error object that crosses the wire, and its codes.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::lenient::null_is_default;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)+) => {
        /// What went wrong, as one word that programs compare.
        ///
        /// A code that this version does not know is kept as it came.
        ///
        /// ```
        /// use openagentmesh_protocol::ErrorCode;
        ///
        /// assert_eq!(ErrorCode::from("not_found"), ErrorCode::NotFound);
        /// assert_eq!(ErrorCode::from("rate_limited").as_str(), "rate_limited");
        /// ```
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)+
            /// A code that this version does not know: a newer peer's, or a handler's own.
            Other(String),
        }

        impl ErrorCode {
            /// Every code that this version knows.
            pub const KNOWN: &'static [Self] = &[$(Self::$variant),+];

            /// The code as it stands on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(code) => code,
                }
            }
        }

        impl From<&str> for ErrorCode {
            fn from(code: &str) -> Self {
                match code {
                    $($text => Self::$variant,)+
                    other => Self::Other(other.to_owned()),
                }
            }
        }
    };
}

codes! {
    /// The input does not fit what it is meant for; `details.errors` lists each problem.
    InvalidInput = "invalid_input",
    /// The handler failed.
    HandlerError = "handler_error",
    /// The verb and the agent's shape do not fit.
    InvocationMismatch = "invocation_mismatch",
    /// A chunk of a stream is missing or out of order.
    ChunkSequenceError = "chunk_sequence_error",
    /// No answer came in time.
    Timeout = "timeout",
    /// Nobody serves the name and the catalog does not list it.
    NotFound = "not_found",
    /// The catalog lists the agent, but nobody serves it now.
    NotAvailable = "not_available",
    /// The agent's last host went away before it answered.
    AgentDied = "agent_died",
    /// The mesh cannot be reached.
    ConnectionFailed = "connection_failed",
    /// The mesh refused the connection or the operation.
    ConnectionDenied = "connection_denied",
    /// The key exists already.
    KvKeyExists = "kv_key_exists",
    /// The key has another revision than the writer expected: somebody else was faster.
    KvWrongRevision = "kv_wrong_revision",
    /// A file of the workspace is not what was written.
    DigestMismatch = "digest_mismatch",
    /// The host's concurrency limit and its queue are full.
    Overloaded = "overloaded",
    /// The message exceeds what the server carries.
    PayloadTooLarge = "payload_too_large",
    /// A local file could not be read or written. Raised locally, never sent.
    IoError = "io_error",
    /// A bucket could not be opened, read or written. Raised locally, never sent.
    StorageError = "storage_error",
}

impl From<String> for ErrorCode {
    fn from(code: String) -> Self {
        Self::from(code.as_str())
    }
}

impl From<ErrorCode> for String {
    fn from(code: ErrorCode) -> Self {
        code.as_str().to_owned()
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The body of an error reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorObject {
    /// What went wrong.
    pub code: ErrorCode,
    /// What went wrong, for people.
    #[serde(default, deserialize_with = "null_is_default")]
    pub message: String,
    /// The agent concerned; empty when none is.
    #[serde(default, deserialize_with = "null_is_default")]
    pub agent: String,
    /// The request concerned; empty when none is.
    #[serde(default, deserialize_with = "null_is_default")]
    pub request_id: String,
    /// More about it, by code.
    #[serde(default, deserialize_with = "null_is_default")]
    pub details: Map<String, Value>,
}
