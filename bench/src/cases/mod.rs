//! What there is to measure: for each case what is done, how much of it and by whom, what is read
//! from it, and what is expected of that.
//!
//! A new case is an entry in one of the lists below. If it is of a kind that there is not yet, it
//! needs a [`Work`] too, which `run` does.

mod agents;
mod calls;
mod programs;
mod state;
mod streams;

use crate::measure::{Contender, Measure};
use crate::report::Unit;

/// Something that is measured, once in each round for each contender.
#[derive(Debug)]
pub(crate) struct Case {
    /// What it is chosen by (`--only`).
    pub(crate) name: &'static str,
    pub(crate) contenders: &'static [Contender],
    pub(crate) effort: Effort,
    pub(crate) work: Work,
    /// What is read from it, in the order in which the work gives it.
    pub(crate) rows: &'static [Row],
}

impl Case {
    /// Whether it or one of its rows has `name` in its name.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let rows = self.rows.iter().map(|row| row.name);
        rows.chain([self.name]).any(|own| own.contains(name))
    }
}

/// How much time a case takes, and so when it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effort {
    /// About a second for each contender: always run.
    Moment,
    /// Longer: not run when it has to be quick.
    While,
    /// Minutes: run when asked for, and then once.
    Minutes,
}

/// What a contender has to do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// What a caller measures at a host, on connections that there are already.
    Task {
        measure: Measure,
        messages: u32,
        python_messages: u32,
        in_flight: u32,
    },
    /// Registers so many agents, in one process, on an empty mesh.
    Register { agents: u32 },
    /// The same shared by processes that all register at the same time.
    RegisterTogether { agents: u32, processes: u32 },
    /// Registers one agent, and then another, on a mesh of so many.
    RegisterOneMore { crowd: u32 },
    /// Connects to a mesh of so many, and then once more and looks at its catalog.
    Connect { crowd: u32 },
    /// Asks for a few of so many agents.
    Catalog { crowd: u32 },
    /// Counts what that allocates.
    CatalogAllocations { crowd: u32 },
    /// Starts a process that serves one agent.
    Start,
    /// Waits a moment with so many agents that nobody calls.
    Idle { agents: u32 },
    /// Puts and gets content in memory.
    Content { mebibytes: u32 },
    /// The same from file to file.
    File { mebibytes: u32 },
    /// Runs the command line.
    Command(Command),
    /// Builds a program that depends on this SDK, or on the bare client.
    Build,
    /// Looks at the size of the command line.
    Size,
}

/// What is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Catalog,
}

/// A row of the table: one of the values that a case gives.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    pub(crate) targets: &'static [Target],
}

/// What is expected of this SDK.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// At most so many times what it is compared to.
    AtMost(f64, Of),
    /// At least so many times what it is compared to.
    AtLeast(f64, Of),
    /// At least so many times as fast as what it is compared to, in a row where less is better.
    AsFast(f64, Of),
}

/// What it is compared to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Of {
    /// What another has in the same row.
    Same(Contender),
    /// What somebody has in another row.
    Row(&'static str, Contender),
    /// One of the row's unit.
    Unit,
}

const fn row(name: &'static str, unit: Unit, targets: &'static [Target]) -> Row {
    Row {
        name,
        unit,
        targets,
    }
}

/// Everybody who can be called.
const CALLED: &[Contender] = &[
    Contender::Ours,
    Contender::RawWithHeaders,
    Contender::Raw,
    Contender::Service,
    Contender::Python,
];
/// Those without the service API, which has nothing but calls.
const ALL_BUT_SERVICE: &[Contender] = &[
    Contender::Ours,
    Contender::RawWithHeaders,
    Contender::Raw,
    Contender::Python,
];
/// Who puts and gets values.
const KEEPERS: &[Contender] = &[
    Contender::Ours,
    Contender::Raw,
    Contender::RawSameBucket,
    Contender::Python,
];
/// Where no headers are sent.
const WITHOUT_HEADERS: &[Contender] = &[Contender::Ours, Contender::Raw, Contender::Python];

/// All cases, in the order of the table.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    let lists = [
        calls::CASES,
        streams::CASES,
        state::CASES,
        agents::CASES,
        programs::CASES,
    ];
    lists.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own() {
        let mut names = HashSet::new();
        for row in all().flat_map(|case| case.rows) {
            assert!(names.insert(row.name), "{}", row.name);
        }
    }

    #[test]
    fn a_target_compares_to_what_is_measured() {
        for case in all() {
            for target in case.rows.iter().flat_map(|row| row.targets) {
                let (Target::AtMost(_, of) | Target::AtLeast(_, of) | Target::AsFast(_, of)) =
                    *target;
                let (other, contender) = match of {
                    Of::Same(contender) => (case, contender),
                    Of::Row(name, contender) => {
                        let named = |case: &&Case| case.rows.iter().any(|row| row.name == name);
                        (all().find(named).expect(name), contender)
                    }
                    Of::Unit => continue,
                };
                assert!(other.contenders.contains(&contender), "{}", case.name);
            }
        }
    }
}
