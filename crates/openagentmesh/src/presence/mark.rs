//! Requests by the time at which they were made.

use std::collections::HashSet;

use openagentmesh_protocol::{AgentName, subject};

use crate::transport::{Death, Inbox};

/// Separates the requests before some time from later ones.
#[derive(Clone, Copy, Default)]
pub(super) struct Mark {
    inbox: u64,
    hosts: u64,
}

impl Mark {
    /// All requests are before this mark.
    pub(super) const ALL: Self = Self {
        inbox: u64::MAX,
        hosts: u64::MAX,
    };

    pub(super) fn now(inbox: &Inbox) -> Self {
        Self {
            inbox: inbox.mark(),
            hosts: inbox.hosts().mark(),
        }
    }

    /// Whether a request before the mark is pending that is not only one for a callback.
    pub(super) fn has_request(self, inbox: &Inbox) -> bool {
        inbox.has_before(self.inbox)
    }

    /// Whether a request before the mark is pending and has had no probe.
    pub(super) fn has_any_unprobed(self, inbox: &Inbox) -> bool {
        inbox.has_any_unprobed(self.inbox)
    }

    /// The agents to which a request is pending that has had no probe.
    pub(super) fn unprobed_agents(inbox: &Inbox) -> HashSet<AgentName> {
        let subjects = inbox.unprobed_requests().into_iter();
        let subjects = subjects.chain(inbox.hosts().unprobed_requests());
        let agents = subjects.filter_map(|subject| subject::requested_agent(&subject));
        agents.collect()
    }

    /// Whether a request to `agent` before the mark is pending and has had no probe.
    pub(super) fn has_unprobed(self, inbox: &Inbox, agent: &AgentName) -> bool {
        let subject = subject::agent(agent);
        inbox.has_unprobed(&subject, self.inbox) || inbox.hosts().has_unprobed(&subject, self.hosts)
    }

    /// Fails the requests to `agent` before the mark that have had no probe. Returns their number.
    pub(super) fn fail_unprobed(self, inbox: &Inbox, agent: &AgentName, death: &Death) -> usize {
        let subject = subject::agent(agent);
        inbox.fail_unprobed(&subject, self.inbox, death)
            + inbox.hosts().fail_unprobed(&subject, self.hosts, death)
    }
}
