//! The notices that are a reason to look for dead hosts.

use futures::StreamExt;
use futures::stream::{BoxStream, SelectAll};
use openagentmesh_monitor::Disconnect;
use openagentmesh_protocol::{AgentName, InstanceId, InstanceNotice, Subject, subject};

use crate::transport::{Action, Connection, Denial};

/// The subject of notices that are received from the first request on.
const FIRST: [&str; 2] = subject::ALL_INSTANCES_DOWN;
/// The subjects of notices that are received from the first request on that has waited.
const LATER: [&str; 2] = [subject::ALL_DEATHS, subject::DISCONNECTS];

/// A notice of a monitor, or of the server.
pub(super) enum Notice {
    /// The instance is down, which has served the agents.
    InstanceDown(InstanceId, Vec<AgentName>),
    /// A connection was lost.
    Disconnected(Disconnect),
    /// The agent has lost its last host.
    Death(AgentName),
}

impl Notice {
    fn read(message: &async_nats::Message) -> Option<Self> {
        match Subject::parse(&message.subject) {
            Subject::InstanceDown(id) => {
                let notice = serde_json::from_slice::<InstanceNotice>(&message.payload);
                let agents = notice.map_or_else(|_| Vec::new(), |notice| notice.agents);
                Some(Self::InstanceDown(id, agents))
            }
            Subject::Death(name) => Some(Self::Death(name)),
            _ => Disconnect::parse(&message.payload).map(Self::Disconnected),
        }
    }
}

/// The subscriptions to notices.
#[derive(Default)]
pub(super) struct Notices {
    received: SelectAll<BoxStream<'static, Notice>>,
    has_later: bool,
}

impl Notices {
    /// Whether `denial` is that of a subscription to notices.
    pub(super) fn are_denied_by(denial: &Denial) -> bool {
        let mut subjects = FIRST.iter().chain(&LATER);
        subjects.any(|subject| denial.denies(Action::Subscribe, subject))
    }

    /// Subscribes to the notices that are received from the first request on.
    pub(super) async fn subscribe_to_first(&mut self, connection: &Connection) {
        if self.received.is_empty() {
            self.subscribe(connection, &FIRST).await;
        }
    }

    /// Subscribes to the other notices. Returns `false` if that was done before.
    pub(super) async fn subscribe_to_later(&mut self, connection: &Connection) -> bool {
        if std::mem::replace(&mut self.has_later, true) {
            return false;
        }
        self.subscribe(connection, &LATER).await;
        true
    }

    async fn subscribe(&mut self, connection: &Connection, subjects: &[&'static str]) {
        for &subject in subjects {
            // The connection is closed otherwise, and the watcher ends.
            if let Ok(messages) = connection.subscribe(subject, None).await {
                let notices =
                    messages.filter_map(|message| std::future::ready(Notice::read(&message)));
                self.received.push(notices.boxed());
            }
        }
    }

    /// The next notice; `None` without a subscription. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Notice> {
        self.received.next().await
    }
}
