//! Rounds of cases: in each, every contender does every case, and they take turns in being the first.

mod agents;
mod builds;
mod crowd;
mod files;
mod processes;
mod stage;
mod tasks;

use crate::Result;
use crate::cases::{Case, Effort, Work};
use crate::measure::Contender;
use crate::report::Report;

pub(crate) use stage::Stage;

/// What the user asked for.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) cases: Vec<&'static Case>,
    pub(crate) rounds: u32,
    pub(crate) size: Size,
    pub(crate) with_python: bool,
}

/// How much of everything is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// As much as the cases say.
    Full,
    /// Fewer messages.
    Quick,
    /// So little that the times mean nothing.
    Tiny,
}

impl Size {
    fn messages(self, full: u32) -> u32 {
        match self {
            Self::Full => full,
            Self::Quick => full / 2,
            Self::Tiny => full.min(20),
        }
    }

    /// How many agents, processes or MiB of so many, of which the tests need no more than `tiny`.
    fn limit(self, full: u32, tiny: u32) -> u32 {
        match self {
            Self::Tiny => full.min(tiny),
            Self::Full | Self::Quick => full,
        }
    }
}

/// What a contender has measured: the values of the case's rows, as far as the system tells them.
struct Measured {
    /// How many messages, agents or MiB they are of.
    count: u32,
    values: Vec<Option<f64>>,
}

impl Measured {
    fn new(count: u32, values: impl IntoIterator<Item = f64>) -> Self {
        Self {
            count,
            values: values.into_iter().map(Some).collect(),
        }
    }
}

pub(crate) async fn run(plan: &Plan) -> Result<Report> {
    let mut stage = Stage::set(plan.size, plan.with_python).await?;
    let mut report = Report::new(stage.server.binary().version().to_string())?;
    // The first round warms up those who stay for all of them, and does not count.
    for round in 0..=plan.rounds {
        for case in &plan.cases {
            if skips(case, round) {
                continue;
            }
            match round {
                0 => eprintln!("warming up: {}", case.name),
                _ => eprintln!("round {round} of {}: {}", plan.rounds, case.name),
            }
            for contender in in_turn(case.contenders, round) {
                if contender == Contender::Python && !plan.with_python {
                    continue;
                }
                let measured = stage.measure(case, contender, round).await;
                let measured = measured.map_err(|error| {
                    let who = contender.title();
                    format!("{}, {who}: {error}", case.name)
                })?;
                if round == 0 {
                    continue;
                }
                for (row, value) in case.rows.iter().zip(measured.values) {
                    if let Some(value) = value {
                        report.add(row, contender, measured.count, value);
                    }
                }
            }
        }
    }
    stage.clear().await?;
    report.arrange();
    Ok(report)
}

/// Only those who call for each other's answers warm up; what takes minutes is done once.
fn skips(case: &Case, round: u32) -> bool {
    match round {
        0 => !matches!(case.work, Work::Task { .. }),
        1 => false,
        _ => case.effort == Effort::Minutes,
    }
}

/// Each takes its turn in being the first.
fn in_turn(contenders: &[Contender], round: u32) -> impl Iterator<Item = Contender> {
    let first = round as usize % contenders.len().max(1);
    let (before, after) = contenders.split_at(first);
    after.iter().chain(before).copied()
}
