//! Rounds of cases: in each round every contender runs every case, in rotating order.

mod agents;
mod attack;
mod builds;
mod files;
mod followers;
mod measured;
mod pair;
mod populated;
mod processes;
mod python;
mod pythons;
mod runner;
mod stalls;
mod tasks;

use std::path::PathBuf;

use crate::cases::{Case, Effort, Work};
use crate::error::Result;
use crate::measure::Contender;
use crate::report::Report;

pub(crate) use measured::Size;
use runner::Runner;

/// The options of a run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) cases: Vec<&'static Case>,
    pub(crate) rounds: u32,
    pub(crate) size: Size,
    pub(crate) with_python: bool,
    pub(crate) against: Option<OtherBuild>,
}

/// A second build of this SDK that takes part.
#[derive(Debug)]
pub(crate) struct OtherBuild {
    pub(crate) name: String,
    /// The directory of its programs.
    pub(crate) directory: PathBuf,
}

pub(crate) async fn run(plan: &Plan) -> Result<Report> {
    let against = plan.against.as_ref();
    let directory = against.map(|other| other.directory.as_path());
    let mut runner = Runner::start(plan.size, plan.with_python, directory).await?;
    let name = against.map(|other| other.name.clone());
    let mut report = Report::new(runner.nats_version(), name)?;
    // Round 0 warms up the processes that run in all rounds; its values are dropped.
    for round in 0..=plan.rounds {
        for case in &plan.cases {
            if skips(case, round) {
                continue;
            }
            match round {
                0 => eprintln!("warm-up: {}", case.name),
                _ => eprintln!("round {round} of {}: {}", plan.rounds, case.name),
            }
            for contender in contenders(case, plan, round) {
                let measured = runner.measure(case, contender, round).await;
                let measured = measured.map_err(|error| {
                    let title = report.title(contender);
                    format!("{}, {title}: {error}", case.name)
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
    runner.stop().await?;
    report.arrange();
    Ok(report)
}

/// Only tasks need a warm-up. The longest cases run once.
fn skips(case: &Case, round: u32) -> bool {
    match round {
        0 => !matches!(case.work, Work::Task { .. }),
        1 => false,
        _ => case.effort >= Effort::Once,
    }
}

/// The contenders in the order of this round, which rotates from round to round.
fn contenders(case: &Case, plan: &Plan, round: u32) -> Vec<Contender> {
    let mut contenders = case.contenders.to_vec();
    contenders.retain(|contender| !contender.is_for_python() || plan.with_python);
    let first = round as usize % contenders.len().max(1);
    contenders.rotate_left(first);
    // The two builds run next to each other and alternate in being first. The case of builds builds
    // from the repository, so that another build has no part in it.
    if plan.against.is_some() && !matches!(case.work, Work::Build) {
        let is_ours = |contender: &Contender| *contender == Contender::Ours;
        if let Some(ours) = contenders.iter().position(is_ours) {
            contenders.insert(ours + round as usize % 2, Contender::Other);
        }
    }
    contenders
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;

    #[test]
    fn other_build_runs_next_to_this_one_and_alternates_in_being_first() {
        let plan = Plan {
            cases: Vec::new(),
            rounds: 4,
            size: Size::Tiny,
            with_python: false,
            against: Some(OtherBuild {
                name: "other".to_owned(),
                directory: PathBuf::new(),
            }),
        };
        let has_two_builds = |case: &&Case| {
            case.contenders.contains(&Contender::Ours) && !matches!(case.work, Work::Build)
        };
        for case in cases::all().filter(has_two_builds) {
            for round in 0..12 {
                let order = contenders(case, &plan, round);
                let place = |contender| order.iter().position(|one| *one == contender);
                let ours = place(Contender::Ours).unwrap();
                let other = place(Contender::Other).unwrap();
                let (first, second) = match round % 2 {
                    0 => (other, ours),
                    _ => (ours, other),
                };
                assert_eq!(first + 1, second, "{}, round {round}", case.name);
            }
        }
    }
}
