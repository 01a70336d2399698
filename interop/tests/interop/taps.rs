//! Agents in Rust that the test controls.

use std::sync::{Arc, Mutex};

use futures::{Stream, stream};
use openagentmesh::{Agent, AgentSpec, Context};
use tokio::sync::{mpsc, oneshot};

use crate::rust_agents::Piece;

/// One run of the agent `tap`.
pub(crate) struct Run {
    pub(crate) request_id: String,
    /// The chunks of the run. Closed when the host has dropped the stream.
    pub(crate) chunks: mpsc::UnboundedSender<u64>,
}

/// A streamer of chunks that the test sends.
pub(crate) fn tap() -> (Agent, mpsc::UnboundedReceiver<Run>) {
    let (runs, started) = mpsc::unbounded_channel();
    let spec = AgentSpec::new("tap", "Streams the chunks of the test.");
    let agent = spec.handler(move |ctx: Context, _: String| {
        let (chunks, given) = mpsc::unbounded_channel();
        let request_id = ctx.request_id().to_string();
        runs.send(Run { request_id, chunks }).unwrap();
        stream_of(given)
    });
    (agent, started)
}

/// A streamer that never ends or waits, and for each run a channel that closes when the stream is
/// dropped.
pub(crate) fn endless() -> (Agent, mpsc::UnboundedReceiver<oneshot::Receiver<()>>) {
    let (runs, started) = mpsc::unbounded_channel();
    let spec = AgentSpec::new("endless", "Counts without end.");
    let agent = spec.handler(move |_: String| {
        let (guard, dropped) = oneshot::channel::<()>();
        runs.send(dropped).unwrap();
        stream::unfold((0_u64, guard), |(number, guard)| async move {
            Some((number, (number + 1, guard)))
        })
    });
    (agent, started)
}

/// The next event of a publisher, or its error.
pub(crate) type Event = Result<Piece, String>;

/// A publisher of events that the test sends; it ends when the test drops the sender.
pub(crate) fn publisher(name: &str) -> (Agent, mpsc::UnboundedSender<Event>) {
    let (events, given) = mpsc::unbounded_channel();
    // The host restarts the publisher after an error; the channel outlives the run.
    let given = Arc::new(Mutex::new(given));
    let spec = AgentSpec::new(name, "Publishes the events of the test.");
    let agent = spec.result_handler(move || {
        let given = Arc::clone(&given);
        stream::poll_fn(move |cx| given.lock().unwrap().poll_recv(cx))
    });
    (agent, events)
}

fn stream_of<T>(mut receiver: mpsc::UnboundedReceiver<T>) -> impl Stream<Item = T> {
    stream::poll_fn(move |cx| receiver.poll_recv(cx))
}

/// A responder that forwards its inputs to the test.
pub(crate) fn sink() -> (Agent, mpsc::UnboundedReceiver<String>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let agent =
        AgentSpec::new("sink", "Forwards its input to the test.").handler(move |text: String| {
            let sender = sender.clone();
            async move { sender.send(text).unwrap() }
        });
    (agent, receiver)
}
