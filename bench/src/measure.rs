//! Messages between the bench and its role processes: tasks and jobs, and their results.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Size of a message body: a JSON string, quotes included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BodySize {
    /// A token of a language model.
    Small,
    /// Where a case states no other size.
    Standard,
    Medium,
    Large,
}

impl BodySize {
    pub(crate) const ALL: [Self; 4] = [Self::Small, Self::Standard, Self::Medium, Self::Large];

    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Small => 16,
            Self::Standard => 100,
            Self::Medium => 16 * 1024,
            Self::Large => 100 * 1024,
        }
    }

    /// Maximum number of chunks of a stream. Without flow control, a subscription of the bare client buffers
    /// 65,536 messages, and the server 64 MiB for its connection.
    pub(crate) const fn max_chunks(self) -> u32 {
        match self {
            Self::Small | Self::Standard => 48_000,
            Self::Medium => 3_000,
            Self::Large => 500,
        }
    }
}

/// Time between two chunks of a token stream.
pub(crate) const TOKEN_INTERVAL: Duration = Duration::from_millis(10);

/// Chunks per stream when only the first chunk is timed.
pub(crate) const SHORT_STREAM: u32 = 10;

/// An implementation that takes part in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Contender {
    /// This SDK.
    Ours,
    /// Another build of this SDK (`--against`).
    Other,
    /// `async-nats` with the headers of this SDK, created for each message.
    RawWithHeaders,
    /// `async-nats` with bodies only.
    Raw,
    /// `async-nats` on the key-value bucket of this SDK, which has the Python SDK's configuration.
    RawSameBucket,
    /// The service API of `async-nats`, with the headers of this SDK.
    Service,
    /// A request of `async-nats` with the headers of this SDK, where the others do something else.
    RawCall,
    /// The Python package of this repository.
    PythonPackage,
    /// The published Python SDK.
    Python,
}

impl Contender {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Other => "other",
            Self::RawWithHeaders => "raw, same headers",
            Self::Raw => "raw",
            Self::RawSameBucket => "raw, same bucket",
            Self::Service => "service API",
            Self::RawCall => "raw call, same headers",
            Self::PythonPackage => "ours, in Python",
            Self::Python => "Python SDK",
        }
    }

    /// Whether it is a package for Python.
    pub(crate) const fn is_for_python(self) -> bool {
        matches!(self, Self::PythonPackage | Self::Python)
    }

    /// Whether it is a build of this SDK.
    pub(crate) const fn is_this_sdk(self) -> bool {
        matches!(self, Self::Ours | Self::Other)
    }
}

/// The quantity that a caller measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measure {
    /// Sequential calls.
    Latency,
    /// Sequential calls with small bodies.
    SmallLatency,
    /// Sequential calls with medium bodies.
    MediumLatency,
    /// Concurrent calls.
    Throughput,
    /// Concurrent calls of a handler that sleeps for 100 ms.
    Sleeping,
    /// Resident memory before and after calls.
    Memory,
    /// Concurrent calls with large bodies.
    LargeThroughput,
    /// Sequential calls of an agent that calls a second agent.
    TwoHops,
    /// Sequential calls with a struct as input; every second struct has validated fields.
    Limits,
    /// Chunks of concurrent streams.
    Chunks,
    /// Small chunks of concurrent streams.
    SmallChunks,
    /// Medium chunks of concurrent streams.
    MediumChunks,
    /// Chunks published at a steady pace, each with the time of its creation. At the same time, the bare client
    /// publishes messages at that pace; the results alternate.
    Tokens,
    /// Medium bodies published by the caller.
    MediumPublish,
    /// Time to the first chunk, stream after stream.
    FirstChunk,
    /// Events of a publisher, received by concurrent subscribers.
    Events,
    /// Values put under keys, concurrently.
    KvPut,
    /// Values read, concurrently.
    KvGet,
    /// Time from a put until a watch delivers the value, one after another.
    KvWatch,
}

/// A measurement for a caller.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) contender: Contender,
    pub(crate) measure: Measure,
    pub(crate) messages: u32,
    /// Number of concurrent calls, streams, subscribers or key operations.
    pub(crate) in_flight: u32,
}

/// The result of a [`Task`]. A caller fails if a message is lost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Messages answered or received.
    pub(crate) messages: u32,
    /// Duration of the whole task.
    pub(crate) seconds: f64,
    /// Duration of each message in seconds; empty for concurrent messages.
    #[serde(default)]
    pub(crate) latencies: Vec<f64>,
}

/// A piece of work for a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Job {
    /// Register agents that return their names, in one call.
    Register { names: Vec<String> },
    /// Open a second connection.
    Connect,
    /// Open a second connection and fetch the catalog, which lists at least `agents`.
    ConnectAndLook { agents: u32 },
    /// Query a channel of `agents` agents, `times` times.
    Catalog {
        channel: String,
        agents: u32,
        times: u32,
    },
    /// Open connections that follow the catalog, each after a first use of it.
    Follow { connections: u32 },
    /// Wait until each of these connections lists `agent`.
    Know { agent: String },
    /// Open a stream of `chunks` medium chunks, and take the first one.
    OpenStream { chunks: u32 },
    /// Read that stream to its end.
    ReadStream,
    /// Put `bytes` bytes under a name.
    Put { name: String, bytes: usize },
    /// Get `bytes` bytes from a name.
    Get { name: String, bytes: usize },
    /// Put the content of a file under a name.
    PutFile { name: String, path: PathBuf },
    /// Get the content of a name into a file.
    GetFile { name: String, path: PathBuf },
}

/// The result of a [`Job`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    /// Duration of the timed part.
    pub(crate) seconds: f64,
    /// Peak resident memory of the process, where the system reports it.
    #[serde(default)]
    pub(crate) peak_kibibytes: Option<u64>,
    /// Error of a job that did not complete.
    #[serde(default)]
    pub(crate) gave_up: Option<String>,
}
