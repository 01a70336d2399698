//! The state of a connection, and its changes.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The state of a connection to a mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionState {
    /// The server answers, as far as the client knows. A server that went silent is noticed later.
    Connected,
    /// The connection is lost, or its NATS client has died, and it is dialed again. Requests wait for it until their
    /// deadline.
    Lost,
    /// The connection is closed, after [`shutdown`](crate::AgentMesh::shutdown) or the end of a client that the program
    /// has made. It is not dialed again.
    Closed,
}

/// A loss of the connection.
#[derive(Clone, Copy)]
pub(super) struct Loss {
    pub(super) since: Instant,
    /// Whether the server has refused the credentials since.
    pub(super) is_refused: bool,
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connected => "connected",
            Self::Lost => "lost",
            Self::Closed => "closed",
        })
    }
}

/// The changes of a connection's state, as a stream; returned by
/// [`Client::watch_connection`](crate::Client::watch_connection).
///
/// Yields the present state first. A slow reader misses states that were followed by others. Ends after
/// [`ConnectionState::Closed`].
pub struct ConnectionStates(BoxStream<'static, ConnectionState>);

impl ConnectionStates {
    /// `closed` is cancelled when the connection is closed.
    pub(super) fn new(mut loss: watch::Receiver<Option<Loss>>, closed: CancellationToken) -> Self {
        loss.mark_changed();
        let states = stream::unfold(Some(loss), move |receiver| {
            let closed = closed.clone();
            async move {
                let mut loss = receiver?;
                match closed.run_until_cancelled(loss.changed()).await {
                    Some(Ok(())) => {
                        let state = state(loss.borrow_and_update().as_ref());
                        Some((state, Some(loss)))
                    }
                    // The monitor ends with the connection.
                    Some(Err(_)) | None => Some((ConnectionState::Closed, None)),
                }
            }
        });
        Self(states.boxed())
    }
}

pub(super) fn state(loss: Option<&Loss>) -> ConnectionState {
    match loss {
        Some(_) => ConnectionState::Lost,
        None => ConnectionState::Connected,
    }
}

impl Stream for ConnectionStates {
    type Item = ConnectionState;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl fmt::Debug for ConnectionStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionStates").finish_non_exhaustive()
    }
}
