//! Measurements of a caller at a host.

use super::measured::Measured;
use super::runner::Runner;
use crate::cases::{Case, Work};
use crate::error::Result;
use crate::measure::{Contender, Measure, Outcome, Task};

impl Runner {
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
            return Err(format!("'{}' has no task for a caller", case.name).into());
        };
        let messages = match contender {
            Contender::Python => python_messages,
            _ => messages,
        };
        let messages = self.messages(messages, round);
        let task = Task {
            contender,
            measure,
            messages,
            in_flight,
        };
        let outcome = self.pair(contender).await?.measure(task).await?;
        let mut values = values(measure, outcome);
        values.truncate(case.rows.len());
        Ok(Measured::new(messages, values))
    }
}

impl Runner {
    /// The number of messages of a round; round 0 is the warm-up.
    pub(super) fn messages(&self, full: u32, round: u32) -> u32 {
        match (self.size.messages(full), round) {
            (messages, 0) => messages.div_ceil(4),
            (messages, _) => messages,
        }
    }
}

/// The rate of concurrent messages; p50 and p99 of sequential ones.
pub(super) fn values(measure: Measure, outcome: Outcome) -> Vec<f64> {
    let Outcome {
        messages,
        seconds,
        mut latencies,
    } = outcome;
    match measure {
        Measure::Memory => latencies,
        Measure::Limits => {
            let [mut plain, mut limited] = alternating(&latencies);
            vec![percentile(&mut plain, 50), percentile(&mut limited, 50)]
        }
        Measure::Tokens => {
            let [chunk, message] =
                alternating(&latencies).map(|mut latencies| percentile(&mut latencies, 99));
            vec![chunk, message, chunk - message]
        }
        _ if latencies.is_empty() => vec![f64::from(messages) / seconds],
        _ => vec![
            percentile(&mut latencies, 50),
            percentile(&mut latencies, 99),
        ],
    }
}

/// The two series of latencies that alternate.
fn alternating(latencies: &[f64]) -> [Vec<f64>; 2] {
    [0, 1].map(|first| latencies.iter().skip(first).step_by(2).copied().collect())
}

/// A percentile in microseconds, of latencies in seconds.
fn percentile(latencies: &mut [f64], percent: usize) -> f64 {
    latencies.sort_by(f64::total_cmp);
    let index = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
    latencies
        .get(index)
        .map_or(f64::NAN, |seconds| seconds * 1e6)
}
