//! The parts of a case: work, contenders, rows, targets.

use crate::measure::{Contender, Measure};
use crate::unit::Unit;

/// A measurement, repeated in each round for each contender.
#[derive(Debug)]
pub(crate) struct Case {
    /// The name that `--only` matches.
    pub(crate) name: &'static str,
    pub(crate) contenders: &'static [Contender],
    pub(crate) effort: Effort,
    pub(crate) work: Work,
    /// The values of the case, in the order in which the work returns them.
    pub(crate) rows: &'static [Row],
}

impl Case {
    /// Whether the case or one of its rows has `name` in its name.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let rows = self.rows.iter().map(|row| row.name);
        rows.chain([self.name]).any(|own| own.contains(name))
    }
}

/// The duration class of a case, which decides when the case is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effort {
    /// About a second per contender: always run.
    Second,
    /// Longer: not run with `--quick`.
    Longer,
    /// Half a minute: not run with `--quick`, and in the first round only.
    Once,
    /// Minutes: run with `--slow`, in the first round only.
    Minutes,
}

/// The work of a contender.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// A caller's measurement on existing connections.
    Task {
        measure: Measure,
        messages: u32,
        python_messages: u32,
        in_flight: u32,
    },
    /// Sequential calls while another client sends malformed requests to the same agent: each of the `rates` a second, and
    /// as many as the host reads.
    Attacked { calls: u32, rates: &'static [u32] },
    /// Registers agents by one process on an empty mesh.
    Register { agents: u32 },
    /// Registers agents by several processes at the same time.
    RegisterTogether { agents: u32, processes: u32 },
    /// Registers one agent, and then a second, on a mesh of `agents` agents.
    RegisterOneMore { agents: u32 },
    /// Registers one agent on a mesh of `agents` agents that another process follows.
    FollowOneMore { agents: u32 },
    /// Registers agents one by one on a mesh that `followers` connections follow.
    FollowMany { followers: u32, registrations: u32 },
    /// Reads the memory of both ends of a stream whose reader has stopped.
    StalledReader { megabytes: u32 },
    /// Connects to a mesh of `agents` agents, once without and once with reading its catalog.
    Connect { agents: u32 },
    /// Queries a small channel of `agents` agents.
    Catalog { agents: u32 },
    /// Counts the allocations of that query.
    CatalogAllocations { agents: u32 },
    /// Starts a process that serves one agent.
    Start,
    /// Reads the memory of an idle host.
    Idle { agents: u32 },
    /// Puts and gets content in memory.
    Content { mebibytes: u32 },
    /// Puts and gets content from file to file.
    File { mebibytes: u32 },
    /// Runs the command line.
    Command(Command),
    /// Builds a program that depends on the contender.
    Build,
    /// Reads the size of the command line's program.
    Size,
    /// Imports the package and connects, in a new Python process.
    ImportAndConnect,
    /// Calls a Python host from Rust.
    CallsFromRust {
        messages: u32,
        python_messages: u32,
        in_flight: u32,
    },
}

/// The arguments of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Catalog,
    /// On a mesh of this many agents.
    CatalogOf(u32),
}

/// A row of the table: one of the values of a case.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    pub(crate) targets: &'static [Target],
    /// The target of the Python package.
    pub(crate) python_target: Option<Target>,
}

/// The expected value of this SDK in a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// At most this multiple of a contender's value.
    AtMost(f64, Contender),
    /// At least this multiple of a contender's value.
    AtLeast(f64, Contender),
    /// At least this multiple of a contender's speed, in a row of durations.
    AsFast(f64, Contender),
    /// At least this multiple of this SDK's own value in another row.
    AtLeastOfRow(f64, &'static str),
    /// At most this multiple of this SDK's own value in another row.
    AtMostOfRow(f64, &'static str),
    /// At most this value, in the row's unit.
    Limit(f64),
}

/// A row without a target.
pub(super) const fn row(name: &'static str, unit: Unit) -> Row {
    Row {
        name,
        unit,
        targets: &[],
        python_target: None,
    }
}

impl Row {
    pub(super) const fn with(self, targets: &'static [Target]) -> Self {
        Self { targets, ..self }
    }

    pub(super) const fn with_python(self, target: Target) -> Self {
        Self {
            python_target: Some(target),
            ..self
        }
    }
}

pub(super) const ALL: &[Contender] = &[
    Contender::Ours,
    Contender::RawWithHeaders,
    Contender::Raw,
    Contender::Service,
    Contender::PythonPackage,
    Contender::Python,
];
/// The service API has calls only.
pub(super) const ALL_BUT_SERVICE: &[Contender] = &[
    Contender::Ours,
    Contender::RawWithHeaders,
    Contender::Raw,
    Contender::PythonPackage,
    Contender::Python,
];
pub(super) const KEY_VALUE: &[Contender] = &[
    Contender::Ours,
    Contender::Raw,
    Contender::RawSameBucket,
    Contender::PythonPackage,
    Contender::Python,
];
/// For work that sends no headers.
pub(super) const WITHOUT_HEADERS: &[Contender] = &[
    Contender::Ours,
    Contender::Raw,
    Contender::PythonPackage,
    Contender::Python,
];
