//! The five shapes of a handler, and the capabilities that the wire knows them by.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a handler takes and gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Takes an input, gives one output.
    Responder,
    /// Takes an input, gives a stream of outputs.
    Streamer,
    /// Takes nothing, gives one output when called.
    Trigger,
    /// Takes nothing, publishes events while it runs.
    Publisher,
    /// Takes nothing, gives nothing: it runs in the background.
    Watcher,
}

impl Shape {
    /// What the wire says of this shape.
    ///
    /// ```
    /// use openagentmesh_protocol::{Capabilities, Shape};
    /// assert_eq!(
    ///     Shape::Publisher.capabilities(),
    ///     Capabilities { invocable: false, streaming: true },
    /// );
    /// ```
    #[must_use]
    pub const fn capabilities(self) -> Capabilities {
        let (invocable, streaming) = match self {
            Self::Responder | Self::Trigger => (true, false),
            Self::Streamer => (true, true),
            Self::Publisher => (false, true),
            Self::Watcher => (false, false),
        };
        Capabilities {
            invocable,
            streaming,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Responder => "responder",
            Self::Streamer => "streamer",
            Self::Trigger => "trigger",
            Self::Publisher => "publisher",
            Self::Watcher => "watcher",
        })
    }
}

/// Whether an agent answers requests, and whether it gives many values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Capabilities {
    /// Whether it gives many values.
    #[serde(default)]
    pub streaming: bool,
    /// Whether it answers requests.
    #[serde(default = "yes")]
    pub invocable: bool,
}

pub(crate) fn yes() -> bool {
    true
}
