//! The part of a subscription that each further client needs.

use async_nats::client::SubscribeError;
use async_nats::{Client, Subject, Subscriber};
use tokio::sync::Notify;

use crate::util::sync::Mutex;

/// A subscription that further clients make again, and the place where each leaves its subscriber.
pub(super) struct Renewal {
    subject: Subject,
    queue_group: Option<String>,
    /// The subscriber of the newest client, with its epoch.
    renewed: Mutex<Option<(Subscriber, u64)>>,
    /// Notified when `renewed` is set.
    is_renewed: Notify,
}

impl Renewal {
    pub(super) fn new(subject: Subject, queue_group: Option<String>) -> Self {
        Self {
            subject,
            queue_group,
            renewed: Mutex::default(),
            is_renewed: Notify::new(),
        }
    }

    pub(super) async fn subscribe(&self, client: &Client) -> Result<Subscriber, SubscribeError> {
        let subject = self.subject.clone();
        match &self.queue_group {
            Some(group) => client.queue_subscribe(subject, group.clone()).await,
            None => client.subscribe(subject).await,
        }
    }

    pub(super) fn renew(&self, subscriber: Subscriber, epoch: u64) {
        let before = self.renewed.lock().replace((subscriber, epoch));
        // Dropped without the lock.
        drop(before);
        self.is_renewed.notify_one();
    }

    /// Waits for the subscriber of the next client. Cancel-safe.
    pub(super) async fn renewed(&self) -> (Subscriber, u64) {
        loop {
            let renewed = self.renewed.lock().take();
            match renewed {
                Some(renewed) => return renewed,
                None => self.is_renewed.notified().await,
            }
        }
    }
}
