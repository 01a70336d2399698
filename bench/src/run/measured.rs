//! The extent of a run, and the values of one measurement.

use std::time::Duration;

use crate::error::Error;
use crate::measure::Contender;

/// Limit of one job.
pub(super) const JOB_TIMEOUT: Duration = Duration::from_secs(600);

/// The extent of the work of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// As the cases define it.
    Full,
    /// Fewer messages.
    Quick,
    /// The minimum, for tests: the durations mean nothing.
    Tiny,
}

impl Size {
    pub(super) fn messages(self, full: u32) -> u32 {
        match self {
            Self::Full => full,
            Self::Quick => full / 2,
            Self::Tiny => full.min(20),
        }
    }

    /// Limits a number of agents, processes or MiB to `tiny` in tests.
    pub(super) fn limit(self, full: u32, tiny: u32) -> u32 {
        match self {
            Self::Tiny => full.min(tiny),
            Self::Full | Self::Quick => full,
        }
    }
}

/// The values of a case's rows; `None` where the system does not report one.
pub(super) struct Measured {
    /// Messages, agents or MiB per value.
    pub(super) count: u32,
    pub(super) values: Vec<Option<f64>>,
}

impl Measured {
    pub(super) fn new(count: u32, values: impl IntoIterator<Item = f64>) -> Self {
        Self {
            count,
            values: values.into_iter().map(Some).collect(),
        }
    }
}

/// The error of a contender that does not take part.
pub(super) fn unsupported(contender: Contender) -> Error {
    format!("{} has no part in this case", contender.title()).into()
}
