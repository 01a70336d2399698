//! Following the catalog: its state after each change.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::heard::Heard;
use super::shared::Shared;
use super::state::CacheState;

/// A receiver of the states of the catalog cache. While it waits for a change, it reads the catalog when a write was
/// heard of: the first one at once, then at most once per interval, and always the last one.
pub(crate) struct Follower {
    shared: Arc<Shared>,
    state: watch::Receiver<CacheState>,
    heard: watch::Receiver<Heard>,
    interval: Duration,
    /// The read in progress. Kept here, so that a wait that is cancelled does not begin it again.
    reading: Option<BoxFuture<'static, ()>>,
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>, interval: Duration) -> Self {
        Self {
            state: shared.state.subscribe(),
            heard: shared.heard.subscribe(),
            shared,
            interval,
            reading: None,
        }
    }

    /// The current state, which counts as seen.
    pub(crate) fn current(&mut self) -> CacheState {
        self.state.borrow_and_update().clone()
    }

    /// Waits until the state is another one than that last seen. A write that was heard of leads to a read. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        self.changed_by(|_| true).await;
    }

    /// As [`changed`](Self::changed), where only writes lead to a read that may have changed an entry for whose name
    /// `is_meant` holds.
    pub(crate) async fn changed_for(&mut self, is_meant: impl Fn(&str) -> bool) {
        self.changed_by(|heard| heard.may_concern(&is_meant)).await;
    }

    async fn changed_by(&mut self, is_needed: impl Fn(&Heard) -> bool) {
        loop {
            if self.reading.is_none() {
                let heard = self.heard.borrow_and_update();
                if heard.is_stale() && is_needed(&heard) {
                    let (shared, interval) = (Arc::clone(&self.shared), self.interval);
                    let reading = async move { shared.refresh_at_intervals(interval).await };
                    self.reading = Some(reading.boxed());
                }
            }
            let reading = async {
                match &mut self.reading {
                    Some(reading) => reading.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                // The senders live in `shared`.
                Ok(()) = self.state.changed() => return,
                () = reading => self.reading = None,
                Ok(()) = self.heard.changed() => {}
            }
        }
    }

    /// Whether the state lacks a write that was heard of.
    pub(crate) fn is_stale(&self) -> bool {
        self.heard.borrow().is_stale()
    }

    /// Reads the catalog if the state lacks a write that was heard of, at most once per interval.
    pub(crate) async fn refresh(&mut self) {
        self.shared.refresh_at_intervals(self.interval).await;
    }
}
