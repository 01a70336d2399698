//! What a caller measures at a host.

use std::time::Duration;

use super::{Measured, Stage};
use crate::Result;
use crate::cases::{Case, Work};
use crate::measure::{Contender, Measure, Outcome, Task};
use crate::roles::{Peer, Role};

impl Stage {
    pub(super) async fn task(
        &mut self,
        case: &Case,
        contender: Contender,
        round: u32,
    ) -> Result<Measured> {
        let Work::Task {
            measure,
            messages,
            python_messages,
            in_flight,
        } = case.work
        else {
            return Err("that is no task of a caller".into());
        };
        let messages = match contender {
            Contender::Python => python_messages,
            _ => messages,
        };
        let messages = match (self.size.messages(messages), round) {
            // A little suffices to warm up.
            (messages, 0) => messages.div_ceil(4),
            (messages, _) => messages,
        };
        let task = Task {
            contender,
            measure,
            messages,
            in_flight,
        };
        let outcome = self.pair(contender).await?.measure(&task).await?;
        let mut values = values(measure, outcome);
        values.truncate(case.rows.len());
        Ok(Measured::new(messages, values))
    }

    /// The processes of a contender's language.
    async fn pair(&mut self, contender: Contender) -> Result<&mut Pair> {
        let url = self.server.url();
        let pair = match (contender, &self.python) {
            (Contender::Python, Some(interpreter)) => {
                if self.python_pair.is_none() {
                    let start = |role| Peer::python(interpreter, role, url);
                    self.python_pair = Some(Pair::start(start).await?);
                }
                &mut self.python_pair
            }
            _ => {
                if self.rust_pair.is_none() {
                    let start = |role| Peer::rust(role, url);
                    self.rust_pair = Some(Pair::start(start).await?);
                }
                &mut self.rust_pair
            }
        };
        pair.as_mut().ok_or_else(|| "there are no processes".into())
    }
}

/// Rates of what is side by side; of the others the median, and what 99 of 100 stay below.
fn values(measure: Measure, outcome: Outcome) -> Vec<f64> {
    let Outcome {
        messages,
        seconds,
        mut latencies,
    } = outcome;
    match measure {
        Measure::Limits => {
            let [mut plain, mut limited] = [0, 1].map(|first| {
                let every_other = latencies.iter().skip(first).step_by(2);
                every_other.copied().collect::<Vec<f64>>()
            });
            vec![percentile(&mut plain, 50), percentile(&mut limited, 50)]
        }
        _ if latencies.is_empty() => vec![f64::from(messages) / seconds],
        _ => vec![
            percentile(&mut latencies, 50),
            percentile(&mut latencies, 99),
        ],
    }
}

/// In microseconds, of latencies in seconds.
fn percentile(latencies: &mut [f64], percent: usize) -> f64 {
    latencies.sort_by(f64::total_cmp);
    let index = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
    latencies
        .get(index)
        .map_or(f64::NAN, |seconds| seconds * 1e6)
}

/// A host, and a caller of its agents.
pub(super) struct Pair {
    host: Peer,
    caller: Peer,
}

impl Pair {
    /// How long one measurement may take.
    const DEADLINE: Duration = Duration::from_secs(60);

    async fn start(start: impl Fn(Role) -> Result<Peer>) -> Result<Self> {
        let mut host = start(Role::Host)?;
        host.ready(Self::DEADLINE).await?;
        let mut caller = start(Role::Caller)?;
        caller.ready(Self::DEADLINE).await?;
        Ok(Self { host, caller })
    }

    async fn measure(&mut self, task: &Task) -> Result<Outcome> {
        let outcome: Outcome = self.caller.ask(task, Self::DEADLINE).await?;
        if outcome.messages != task.messages {
            let (got, asked) = (outcome.messages, task.messages);
            return Err(format!("{task:?}: {got} messages came of {asked}").into());
        }
        Ok(outcome)
    }

    pub(super) async fn end(self) -> Result<()> {
        self.caller.end(Self::DEADLINE).await?;
        self.host.end(Self::DEADLINE).await
    }
}
