//! Error codes, and the error object of the wire.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::lenient::null_is_default;

macro_rules! codes {
    (
        wire { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }
        local { $($(#[$local_doc:meta])* $local:ident = $local_text:literal,)+ }
    ) => {
        /// The kind of an error, for programs to match on.
        ///
        /// Unknown codes are preserved in [`ErrorCode::Other`]. A code compares equal to its text.
        ///
        /// ```
        /// use openagentmesh_protocol::ErrorCode;
        ///
        /// assert_eq!(ErrorCode::from("not_found"), ErrorCode::NotFound);
        /// assert_eq!(ErrorCode::from("rate_limited"), "rate_limited");
        /// ```
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)+
            $($(#[$local_doc])* $local,)+
            /// A code unknown to this version, from a newer peer or chosen by a handler. Not
            /// retryable: the cause is unknown.
            Other(String),
        }

        impl ErrorCode {
            /// The codes of the wire protocol.
            pub const KNOWN: &'static [Self] = &[$(Self::$variant),+];

            /// The codes that are raised locally and never sent.
            pub const LOCAL: &'static [Self] = &[$(Self::$local),+];

            /// The code as text, as written on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    $(Self::$local => $local_text,)+
                    Self::Other(code) => code,
                }
            }
        }

        impl From<&str> for ErrorCode {
            fn from(code: &str) -> Self {
                match code {
                    $($text => Self::$variant,)+
                    $($local_text => Self::$local,)+
                    other => Self::Other(other.to_owned()),
                }
            }
        }
    };
}

codes! {
    wire {
        /// The input violates the agent's schema, or an argument is invalid; `details.errors` lists
        /// each problem. Not retryable: the same input fails again.
        InvalidInput = "invalid_input",
        /// The handler failed. Not retryable: the cause is unknown to the mesh, and the handler may
        /// have taken effect.
        HandlerError = "handler_error",
        /// The verb does not fit the agent's shape. Not retryable: another verb is needed.
        InvocationMismatch = "invocation_mismatch",
        /// A chunk of a stream is missing or out of order. Retryable: chunks get lost when the
        /// connection or the consumer was interrupted.
        ChunkSequenceError = "chunk_sequence_error",
        /// The deadline passed before an answer arrived. Retryable: the delay may be temporary. The
        /// handler may have taken effect.
        Timeout = "timeout",
        /// The name has no host and no catalog entry. Not retryable: the name is probably wrong.
        NotFound = "not_found",
        /// The catalog lists the agent, but it has no host now. Retryable: a host may start.
        NotAvailable = "not_available",
        /// The host that worked on the request ended, or no longer runs. Retryable if the agent is
        /// idempotent: another host may answer, and the handler may have taken effect.
        AgentDied = "agent_died",
        /// The mesh cannot be reached. Retryable: the connection may heal.
        ConnectionFailed = "connection_failed",
        /// The mesh denied the connection or the operation. Not retryable: credentials or
        /// permissions must change.
        ConnectionDenied = "connection_denied",
        /// The key exists already. Not retryable: read the key first.
        KvKeyExists = "kv_key_exists",
        /// The key's revision differs from the expected one: a concurrent write came first. Not
        /// retryable: read the new revision first.
        KvWrongRevision = "kv_wrong_revision",
        /// The content of a workspace file does not match its digest. Not retryable: the stored
        /// content must be written again.
        DigestMismatch = "digest_mismatch",
        /// The host's concurrency limit is reached and its queue is full, or the inputs of its requests
        /// take too much memory. Retryable after a back-off.
        Overloaded = "overloaded",
        /// The message exceeds the server's limit, or takes its host too much time or memory. Not
        /// retryable: the message must shrink.
        PayloadTooLarge = "payload_too_large",
    }
    local {
        /// The configuration of this process is invalid. Raised locally, never sent. Not retryable:
        /// the configuration must change.
        Configuration = "configuration",
        /// A local file, directory or process could not be used. Raised locally, never sent. Not
        /// retryable: the cause lies in the local system.
        IoError = "io_error",
        /// A bucket could not be opened, read or written. Raised locally, never sent. Not
        /// retryable: the cause lies in the server's storage.
        StorageError = "storage_error",
        /// A reply violates the protocol or does not fit the expected type. Raised locally, never
        /// sent. Not retryable: the peer answers the same again.
        UnexpectedReply = "unexpected_reply",
    }
}

impl ErrorCode {
    /// Whether the same request may succeed when sent again unchanged, after a back-off.
    ///
    /// The docs of each code give the reason. A retry may run the handler twice, so requests with
    /// effects should be idempotent.
    ///
    /// ```
    /// use openagentmesh_protocol::ErrorCode;
    ///
    /// assert!(ErrorCode::Overloaded.is_retryable());
    /// assert!(!ErrorCode::InvalidInput.is_retryable());
    /// ```
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::ChunkSequenceError
            | Self::Timeout
            | Self::NotAvailable
            | Self::AgentDied
            | Self::ConnectionFailed
            | Self::Overloaded => true,
            Self::InvalidInput
            | Self::HandlerError
            | Self::InvocationMismatch
            | Self::NotFound
            | Self::ConnectionDenied
            | Self::KvKeyExists
            | Self::KvWrongRevision
            | Self::DigestMismatch
            | Self::PayloadTooLarge
            | Self::Configuration
            | Self::IoError
            | Self::StorageError
            | Self::UnexpectedReply
            | Self::Other(_) => false,
        }
    }
}

impl PartialEq<str> for ErrorCode {
    fn eq(&self, text: &str) -> bool {
        self.as_str() == text
    }
}

impl PartialEq<&str> for ErrorCode {
    fn eq(&self, text: &&str) -> bool {
        self.as_str() == *text
    }
}

impl PartialEq<ErrorCode> for str {
    fn eq(&self, code: &ErrorCode) -> bool {
        self == code.as_str()
    }
}

impl PartialEq<ErrorCode> for &str {
    fn eq(&self, code: &ErrorCode) -> bool {
        *self == code.as_str()
    }
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

/// The body of an error reply. It is read from JSON, by `serde_json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorObject {
    /// The kind of the error.
    pub code: ErrorCode,
    /// Message for people.
    #[serde(default, deserialize_with = "null_is_default")]
    pub message: String,
    /// The agent concerned; empty if none.
    #[serde(default, deserialize_with = "null_is_default")]
    pub agent: String,
    /// The request concerned; empty if none.
    #[serde(default, deserialize_with = "null_is_default")]
    pub request_id: String,
    /// Details that depend on the code. A reader leaves out those of more than [`MAX_DETAILS_BYTES`].
    #[serde(default, deserialize_with = "bounded")]
    pub details: Map<String, Value>,
}

/// The length of the details of an error, in bytes of JSON, up to which they are read. As values they take many times the
/// memory of their text.
pub const MAX_DETAILS_BYTES: usize = 256 * 1024;

/// Reads details, unless they are too long.
fn bounded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    let text = Box::<RawValue>::deserialize(deserializer)?;
    if text.get().len() > MAX_DETAILS_BYTES {
        return Ok(Map::new());
    }
    let details: Option<Map<String, Value>> =
        serde_json::from_str(text.get()).map_err(D::Error::custom)?;
    Ok(details.unwrap_or_default())
}
