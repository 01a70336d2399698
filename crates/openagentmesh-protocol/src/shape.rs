//! The five shapes of a handler, and the capabilities that describe them on the wire.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::lenient::{null_is_default, null_is_yes};

/// The inputs and outputs of a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Takes an input, returns one output.
    Responder,
    /// Takes an input, returns a stream of outputs.
    Streamer,
    /// Takes no input, returns one output when called.
    Trigger,
    /// Takes no input, publishes events while it runs.
    Publisher,
    /// Takes no input, has no output: runs in the background.
    Watcher,
}

impl Shape {
    /// The capabilities of this shape on the wire.
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

/// Whether an agent answers requests, and whether it produces many values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Capabilities {
    /// Whether the agent produces many values: chunks or events.
    #[serde(default, deserialize_with = "null_is_default")]
    pub streaming: bool,
    /// Whether the agent answers requests.
    #[serde(default = "yes", deserialize_with = "null_is_yes")]
    pub invocable: bool,
}

/// Those of an agent whose contract or entry names none: a responder's.
impl Default for Capabilities {
    fn default() -> Self {
        Shape::Responder.capabilities()
    }
}

impl Capabilities {
    /// The shape. On the wire a trigger equals a responder.
    fn shape(self) -> Shape {
        match (self.invocable, self.streaming) {
            (true, false) => Shape::Responder,
            (true, true) => Shape::Streamer,
            (false, true) => Shape::Publisher,
            (false, false) => Shape::Watcher,
        }
    }

    /// The verb for such an agent; `None` for a watcher, which takes none.
    ///
    /// ```
    /// use openagentmesh_protocol::{Shape, Verb};
    /// assert_eq!(Shape::Streamer.capabilities().verb(), Some(Verb::Stream));
    /// assert_eq!(Shape::Watcher.capabilities().verb(), None);
    /// ```
    #[must_use]
    pub fn verb(self) -> Option<Verb> {
        match self.shape() {
            Shape::Responder | Shape::Trigger => Some(Verb::Call),
            Shape::Streamer => Some(Verb::Stream),
            Shape::Publisher => Some(Verb::Subscribe),
            Shape::Watcher => None,
        }
    }

    /// The reason why `verb` does not fit the agent, and the verb that does; `None` if it fits.
    ///
    /// ```
    /// use openagentmesh_protocol::{Shape, Verb};
    /// let streamer = Shape::Streamer.capabilities();
    /// assert_eq!(streamer.mismatch(Verb::Stream), None);
    /// assert_eq!(streamer.mismatch(Verb::Call), Some("streams its reply: use stream()"));
    /// ```
    #[must_use]
    pub fn mismatch(self, verb: Verb) -> Option<&'static str> {
        match (self.shape(), verb) {
            (Shape::Responder | Shape::Trigger, Verb::Call | Verb::Send)
            | (Shape::Streamer, Verb::Stream)
            | (Shape::Publisher, Verb::Subscribe) => None,
            (Shape::Responder | Shape::Trigger, Verb::Stream) => {
                Some("gives one reply: use call()")
            }
            (Shape::Responder | Shape::Trigger, Verb::Subscribe) => {
                Some("answers requests and publishes no events: use call()")
            }
            (Shape::Streamer, Verb::Call | Verb::Send) => Some("streams its reply: use stream()"),
            (Shape::Streamer, Verb::Subscribe) => {
                Some("streams its replies to requests and publishes no events: use stream()")
            }
            (Shape::Publisher, _) => Some("publishes events: use subscribe()"),
            (Shape::Watcher, _) => {
                Some("runs in the background: it takes no requests and publishes no events")
            }
        }
    }
}

/// A way to use an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Sends a request and waits for one reply.
    Call,
    /// Sends a request and receives the chunks of the reply.
    Stream,
    /// Sends a request without waiting for the reply.
    Send,
    /// Receives the events of a publisher.
    Subscribe,
}

impl Verb {
    /// The verb as a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Stream => "stream",
            Self::Send => "send",
            Self::Subscribe => "subscribe",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

pub(crate) fn yes() -> bool {
    true
}
