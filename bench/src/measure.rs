//! What is said between the bench and its processes: who is measured, what, and what came of it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What is sent, as JSON: a string of so many bytes with its quotes.
pub(crate) const BODY_BYTES: usize = 100;

/// The same where it is large.
pub(crate) const LARGE_BODY_BYTES: usize = 100 * 1024;

/// How many chunks a stream has of which only the first is timed.
pub(crate) const SHORT_STREAM: u32 = 10;

/// Whose work is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Contender {
    /// This SDK.
    Ours,
    /// `async-nats` with the headers that this SDK sends, made anew for each message.
    RawWithHeaders,
    /// `async-nats` with nothing but the body.
    Raw,
    /// `async-nats` with the bucket of this SDK, which is made as the Python SDK makes it.
    RawSameBucket,
    /// The service API of `async-nats`, with the headers that this SDK sends.
    Service,
    /// The published Python SDK.
    Python,
}

impl Contender {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::RawWithHeaders => "raw, same headers",
            Self::Raw => "raw",
            Self::RawSameBucket => "raw, same bucket",
            Self::Service => "service API",
            Self::Python => "Python SDK",
        }
    }
}

/// What a caller measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measure {
    /// Calls one after another.
    Latency,
    /// Calls side by side.
    Throughput,
    /// The same with large bodies.
    LargeThroughput,
    /// Calls one after another of an agent that calls another.
    TwoHops,
    /// Calls one after another with a struct as input, whose fields are limited every other time.
    Limits,
    /// The chunks of streamed replies, so many of which are under way at once.
    Chunks,
    /// How long a first chunk takes, stream after stream.
    FirstChunk,
    /// A publisher's events, for so many subscribers at once.
    Events,
    /// Values put under keys, so many at once.
    KvPut,
    /// Values got, so many at once.
    KvGet,
    /// How long it takes from a put until a watch tells of it, one after another.
    KvWatch,
}

/// What a caller is told to do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) contender: Contender,
    pub(crate) measure: Measure,
    pub(crate) messages: u32,
    /// How many of it at once: calls, streams, subscribers or keys.
    pub(crate) in_flight: u32,
}

/// What came of it. A caller fails rather than tell of messages that it did not get.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// How many messages came back, or arrived.
    pub(crate) messages: u32,
    /// How long all of them took.
    pub(crate) seconds: f64,
    /// How long each of them took, where they came one after another.
    #[serde(default)]
    pub(crate) latencies: Vec<f64>,
}

/// What a worker is told to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Job {
    /// Register agents that tell their names, all at once.
    Register { names: Vec<String> },
    /// Connect once more.
    Connect,
    /// Connect once more, and get the catalog, which lists so many or a few more.
    ConnectAndLook { agents: u32 },
    /// Ask so often for the agents of a channel, which has so many.
    Catalog {
        channel: String,
        agents: u32,
        times: u32,
    },
    /// Put so many bytes under a name.
    Put { name: String, bytes: usize },
    /// Get them.
    Get { name: String, bytes: usize },
    /// Put what is in a file.
    PutFile { name: String, path: PathBuf },
    /// Get it into a file.
    GetFile { name: String, path: PathBuf },
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    /// How long it took.
    pub(crate) seconds: f64,
    /// The most memory that the process has had.
    #[serde(default)]
    pub(crate) peak_kibibytes: Option<u64>,
    /// Why it was not done to its end.
    #[serde(default)]
    pub(crate) gave_up: Option<String>,
}
