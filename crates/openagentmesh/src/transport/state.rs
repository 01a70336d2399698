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
    /// The server is about to shut down (lame-duck mode), and still answers. The connection changes to another server if
    /// there is one, after the pending replies have arrived, for at most 5 s.
    LameDuck,
    /// The connection is lost, or its NATS client has died, and it is dialed again. Requests wait for it until their
    /// deadline.
    Lost,
    /// The connection is lost, and the server refuses the credentials of this process: they have expired, or were revoked or
    /// replaced. It is dialed again, and credentials in a file are read again each time. Calls, streams and sends fail with
    /// `connection_denied`; all else waits as while it is lost.
    Refused,
    /// The connection is closed, after [`shutdown`](crate::AgentMesh::shutdown) or the end of a client that the program
    /// has made. It is not dialed again.
    Closed,
}

/// A loss of the connection.
#[derive(Clone, Copy)]
pub(super) struct Loss {
    pub(super) since: Instant,
    /// The number of the last attempts, one after the other, at which the server has refused the credentials.
    pub(super) refusals: u32,
}

impl Loss {
    /// The number of refusals in a row from which on the credentials are refused. Another server of a cluster may accept a
    /// user whom one does not know yet.
    const REFUSED_FROM: u32 = 2;

    pub(super) fn is_refused(&self) -> bool {
        self.refusals >= Self::REFUSED_FROM
    }
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connected => "connected",
            Self::LameDuck => "connected to a server that shuts down",
            Self::Lost => "lost",
            Self::Refused => "refused",
            Self::Closed => "closed",
        })
    }
}

/// The changes of a connection's state, as a stream; returned by
/// [`Client::status_changes`](crate::Client::status_changes).
///
/// Yields the present state first. A slow reader misses states that were followed by others. Ends after
/// [`ConnectionState::Closed`].
pub struct ConnectionStates(BoxStream<'static, ConnectionState>);

impl ConnectionStates {
    /// `closed` is cancelled when the connection is closed.
    pub(super) fn new(
        mut loss: watch::Receiver<Option<Loss>>,
        lame_duck: watch::Receiver<bool>,
        closed: CancellationToken,
    ) -> Self {
        loss.mark_changed();
        let states = stream::unfold(Some((loss, lame_duck)), move |receivers| {
            let closed = closed.clone();
            async move {
                let (mut loss, mut lame_duck) = receivers?;
                let changed = async {
                    loop {
                        tokio::select! {
                            biased;
                            changed = loss.changed() => return changed,
                            changed = lame_duck.changed() => changed?,
                        }
                        // The end of an announcement is a loss, which is reported itself.
                        if *lame_duck.borrow_and_update() {
                            return Ok(());
                        }
                    }
                };
                match closed.run_until_cancelled(changed).await {
                    Some(Ok(())) => {
                        let is_lame = *lame_duck.borrow_and_update();
                        let state = state(loss.borrow_and_update().as_ref(), is_lame);
                        Some((state, Some((loss, lame_duck))))
                    }
                    // The monitor ends with the connection.
                    Some(Err(_)) | None => Some((ConnectionState::Closed, None)),
                }
            }
        });
        Self(states.boxed())
    }
}

pub(super) fn state(loss: Option<&Loss>, is_lame: bool) -> ConnectionState {
    match loss {
        Some(loss) if loss.is_refused() => ConnectionState::Refused,
        Some(_) => ConnectionState::Lost,
        None if is_lame => ConnectionState::LameDuck,
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
