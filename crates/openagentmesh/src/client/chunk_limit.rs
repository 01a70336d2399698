//! The number of messages that the subscription of a stream delivers.

use std::collections::VecDeque;

use async_nats::Subscriber;
use futures::FutureExt;

/// Limits the messages of a stream's subscription to the credit that its consumer has granted. Without the limit, a
/// host that ignores credit would fill the client's buffer of 65,536 messages of any size.
///
/// The client and the server end the subscription at the limit. Further credit raises the limit.
#[derive(Debug)]
pub(super) struct ChunkLimit {
    /// All credit so far.
    granted: u64,
    /// The messages that the subscription has delivered.
    delivered: u64,
    /// The last limits that were set at the client.
    limits: VecDeque<u64>,
}

impl ChunkLimit {
    /// Messages beyond the credit: the end or an error, and one that shows that the host ignores credit.
    const WITHOUT_CREDIT: u64 = 2;
    /// The number of limits that are kept. A consumer sets fewer while it takes the messages below one of them.
    const MAX_KEPT: usize = 16;

    /// The limit of a stream with a first window of `granted` chunks.
    pub(super) fn new(granted: u32) -> Self {
        Self {
            granted: granted.into(),
            delivered: 0,
            limits: VecDeque::new(),
        }
    }

    /// Counts a delivered message.
    pub(super) fn count(&mut self) {
        self.delivered += 1;
    }

    /// Counts credit that was granted.
    pub(super) fn grant(&mut self, credit: u32) {
        self.granted += u64::from(credit);
    }

    /// Raises the limit at the client by `credit`. To be called before the credit is sent: the host may use it at once.
    /// Cancel-safe.
    pub(super) async fn raise(&mut self, subscriber: &mut Subscriber, credit: u32) {
        let limit = self.with(credit);
        // The client has ended if it refuses the limit, and the credit is not sent either.
        if self.limits.back() != Some(&limit) && subscriber.unsubscribe_after(limit).await.is_ok() {
            self.keep(limit);
        }
    }

    /// Sets the limit at the client. Does nothing if that is the limit already. Does not wait: without room in the client,
    /// a later call does it.
    pub(super) fn apply(&mut self, subscriber: &mut Subscriber) {
        let limit = self.with(0);
        if self.limits.back() == Some(&limit) {
            return;
        }
        let set = subscriber.unsubscribe_after(limit).now_or_never();
        if set.is_some_and(|set| set.is_ok()) {
            self.keep(limit);
        }
    }

    fn with(&self, credit: u32) -> u64 {
        self.granted + u64::from(credit) + Self::WITHOUT_CREDIT
    }

    fn keep(&mut self, limit: u64) {
        if self.limits.len() >= Self::MAX_KEPT {
            self.limits.pop_front();
        }
        self.limits.push_back(limit);
    }

    /// Whether a subscription that has ended now was ended by its limit.
    pub(super) fn was_reached(&self) -> bool {
        self.limits.contains(&self.delivered)
    }
}
