//! Agents in Rust that do what the test tells them, when it tells them.

use std::sync::{Arc, Mutex};

use futures::{Stream, stream};
use openagentmesh::{Agent, AgentSpec, Context};
use tokio::sync::{mpsc, oneshot};

use crate::rust_agents::Piece;

/// One run of the agent `tap`.
pub(crate) struct Run {
    pub(crate) request_id: String,
    /// What it gives. Closed as soon as the host has dropped its stream.
    pub(crate) chunks: mpsc::UnboundedSender<u64>,
}

/// A streamer that gives what the test gives.
pub(crate) fn tap() -> (Agent, mpsc::UnboundedReceiver<Run>) {
    let (runs, started) = mpsc::unbounded_channel();
    let spec = AgentSpec::new("tap", "Gives what it is given.");
    let agent = spec.handler(move |ctx: Context, _: String| {
        let (chunks, given) = mpsc::unbounded_channel();
        let request_id = ctx.request_id().to_string();
        runs.send(Run { request_id, chunks }).unwrap();
        stream_of(given)
    });
    (agent, started)
}

/// A streamer that never ends by itself nor ever waits; for each of its runs, what is dropped with
/// its stream.
pub(crate) fn endless() -> (Agent, mpsc::UnboundedReceiver<oneshot::Receiver<()>>) {
    let (runs, started) = mpsc::unbounded_channel();
    let spec = AgentSpec::new("endless", "Counts for ever.");
    let agent = spec.handler(move |_: String| {
        let (guard, dropped) = oneshot::channel::<()>();
        runs.send(dropped).unwrap();
        stream::unfold((0_u64, guard), |(number, guard)| async move {
            Some((number, (number + 1, guard)))
        })
    });
    (agent, started)
}

/// What a publisher does next.
pub(crate) type Event = Result<Piece, String>;

/// A publisher of what the test gives; it ends when the test drops the sender.
pub(crate) fn publisher(name: &str) -> (Agent, mpsc::UnboundedSender<Event>) {
    let (events, given) = mpsc::unbounded_channel();
    // It is started again after a failure, and goes on where it was.
    let given = Arc::new(Mutex::new(given));
    let spec = AgentSpec::new(name, "Tells what it is told.");
    let agent = spec.result_handler(move || {
        let given = Arc::clone(&given);
        stream::poll_fn(move |cx| given.lock().unwrap().poll_recv(cx))
    });
    (agent, events)
}

fn stream_of<T>(mut receiver: mpsc::UnboundedReceiver<T>) -> impl Stream<Item = T> {
    stream::poll_fn(move |cx| receiver.poll_recv(cx))
}

/// A responder that tells the test what it was sent.
pub(crate) fn sink() -> (Agent, mpsc::UnboundedReceiver<String>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let agent = AgentSpec::new("sink", "Takes what it is sent.").handler(move |text: String| {
        let sender = sender.clone();
        async move { sender.send(text).unwrap() }
    });
    (agent, receiver)
}
