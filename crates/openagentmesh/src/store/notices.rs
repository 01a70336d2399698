//! Notices of writes to a bucket: a subscription to the subjects of the writes, of which only the number counts.

use async_nats::Subject;
use futures::StreamExt;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::error::{Error, Result};
use crate::transport::{self, Action, Connection, DenialWatch};

/// A subscription to the subjects that a filter matches. A notice may arrive before its message is stored, and the server
/// may refuse to store it.
pub(crate) struct Notices {
    /// The number of all notices. The messages are dropped as they arrive: a reader may be slow, and their values large.
    count: watch::Receiver<u64>,
    /// The number of notices that were taken.
    taken: u64,
    denied: DenialWatch,
    _reader: AbortOnDropHandle<()>,
}

impl Notices {
    /// # Errors
    ///
    /// `connection_failed` when the connection is closed.
    pub(crate) async fn subscribe(connection: &Connection, filter: &str) -> Result<Self> {
        let own = filter.to_owned();
        let denials = &connection.denials;
        let denied = denials.watch(move |denial| denial.denies(Action::Subscribe, &own));
        let subscribed = connection.client().subscribe(Subject::from(filter)).await;
        let mut messages = subscribed.map_err(|error| transport::closed(error.to_string()))?;
        let (counter, count) = watch::channel(0);
        let reader = tokio::spawn(async move {
            while messages.next().await.is_some() {
                counter.send_modify(|count| *count += 1);
            }
        });
        Ok(Self {
            count,
            taken: 0,
            denied,
            _reader: AbortOnDropHandle::new(reader),
        })
    }

    /// Takes the notices that have arrived, and waits for one if there are none. `None` once the subscription has ended.
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// `connection_denied` when the server has denied the subscription.
    pub(crate) async fn take(&mut self) -> Result<Option<u64>> {
        let is_open = tokio::select! {
            biased;
            error = self.denied.denied() => return Err(error),
            changed = self.count.wait_for(|count| *count > self.taken) => changed.is_ok(),
        };
        let count = *self.count.borrow_and_update();
        let new = count - self.taken;
        self.taken = count;
        Ok((is_open || new > 0).then_some(new))
    }

    /// # Errors
    ///
    /// `connection_denied` when the server has denied the subscription.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        self.denied.check()
    }
}
