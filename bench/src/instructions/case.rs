//! The counted operations.

use serde::{Deserialize, Serialize};

use crate::measure::Measure;
use crate::roles::Role;

/// A counted operation.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Case {
    /// A call, counted at the caller.
    Call,
    /// A call, counted at the host.
    Request,
    /// A chunk of a stream, counted at the host.
    Chunk,
    /// A chunk of a stream, counted at the caller.
    ChunkReceived,
    /// An event, counted at the publisher.
    Event,
    /// An event, counted at the subscriber.
    EventReceived,
}

impl Case {
    pub(super) const ALL: [Self; 6] = [
        Self::Call,
        Self::Request,
        Self::Chunk,
        Self::ChunkReceived,
        Self::Event,
        Self::EventReceived,
    ];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Request => "request",
            Self::Chunk => "chunk",
            Self::ChunkReceived => "chunk received",
            Self::Event => "event",
            Self::EventReceived => "event received",
        }
    }

    pub(super) const fn measure(self) -> Measure {
        match self {
            Self::Call | Self::Request => Measure::Latency,
            Self::Chunk | Self::ChunkReceived => Measure::Chunks,
            Self::Event | Self::EventReceived => Measure::Events,
        }
    }

    /// The counted side.
    pub(super) fn side(self) -> Role {
        match self {
            Self::Call | Self::ChunkReceived | Self::EventReceived => Role::Caller,
            Self::Request | Self::Chunk | Self::Event => Role::Host,
        }
    }

    /// The numbers of messages of a short and a long run. Their difference excludes the start and the end
    /// of the process.
    pub(super) const fn messages(self) -> [u32; 2] {
        match self.measure() {
            Measure::Latency => [500, 2_500],
            _ => [2_000, 10_000],
        }
    }
}
