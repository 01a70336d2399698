//! A host, and a caller of its agents.

use std::time::Duration;

use crate::error::Result;
use crate::measure::{Contender, Outcome, Task};
use crate::roles::{Peer, Role};

pub(super) struct Pair {
    host: Peer,
    caller: Peer,
}

impl Pair {
    /// Limit of one measurement.
    pub(super) const TASK_TIMEOUT: Duration = Duration::from_secs(60);

    pub(super) async fn start(start: impl Fn(Role) -> Result<Peer>) -> Result<Self> {
        let mut host = start(Role::Host)?;
        host.ready(Self::TASK_TIMEOUT).await?;
        let mut caller = start(Role::Caller)?;
        caller.ready(Self::TASK_TIMEOUT).await?;
        Ok(Self { host, caller })
    }

    pub(super) async fn measure(&mut self, mut task: Task) -> Result<Outcome> {
        // The other build knows itself as this SDK.
        if task.contender == Contender::Other {
            task.contender = Contender::Ours;
        }
        let outcome: Outcome = self.caller.ask(&task, Self::TASK_TIMEOUT).await?;
        if outcome.messages != task.messages {
            let (received, sent) = (outcome.messages, task.messages);
            return Err(format!("{task:?}: {received} of {sent} messages received").into());
        }
        Ok(outcome)
    }

    pub(super) async fn end(self) -> Result<()> {
        self.caller.end(Self::TASK_TIMEOUT).await?;
        self.host.end(Self::TASK_TIMEOUT).await
    }
}
