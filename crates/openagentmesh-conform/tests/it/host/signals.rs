//! The subject on which a caller, or the server in its place, signals.

use std::time::Duration;

use async_nats::{Client, Message, StatusCode, Subscriber};
use futures::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::header;

pub(super) struct Signals {
    pub(super) subject: String,
    pub(super) messages: Subscriber,
}

impl Signals {
    pub(super) async fn open(client: &Client) -> Self {
        let subject = client.new_inbox();
        let messages = client.subscribe(subject.clone()).await.unwrap();
        Self { subject, messages }
    }

    /// The next signal until `deadline`.
    pub(super) async fn next(&mut self, deadline: Instant) -> Option<Message> {
        timeout_at(deadline, self.messages.next())
            .await
            .ok()
            .flatten()
    }

    /// Whether the server reports within `limit` that a message had no subscriber.
    pub(super) async fn is_unserved(&mut self, limit: Duration) -> bool {
        let signal = self.next(Instant::now() + limit).await;
        signal.is_some_and(|signal| signal.status == Some(StatusCode::NO_RESPONDERS))
    }

    /// Whether the caller cancels within `limit`.
    pub(super) async fn is_cancelled(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while let Some(signal) = self.next(deadline).await {
            if header(&signal, "X-Mesh-Cancel").as_deref() == Some("true") {
                return true;
            }
        }
        false
    }
}
