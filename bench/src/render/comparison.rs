//! The rows that the README and the plot show.

use crate::measure::Contender;
use crate::report::{Report, Series};

/// The most important rows.
pub(super) const HEADLINE_ROWS: &[&str] = &[
    "call, p50",
    "calls, 64 in flight",
    "chunks of a stream",
    "events",
    "values read, 32 at a time",
    "64 MiB put",
    "64 MiB read",
    "1,000 agents by one process",
    "connect and fetch the catalog",
    "process start to callable",
    "idle host of 1,000 agents: memory",
];

/// One row of this SDK, the bare client and the Python SDK.
pub(super) struct Comparison<'r> {
    pub(super) row: &'r str,
    pub(super) ours: &'r Series,
    /// The bare client with the most similar work.
    pub(super) raw: Option<&'r Series>,
    pub(super) python: Option<&'r Series>,
}

impl Comparison<'_> {
    /// The speed of `series` as a multiple of the bare client's.
    pub(super) fn to_raw(&self, series: &Series) -> Option<f64> {
        Some(series.advantage_over(self.raw?))
    }
}

pub(super) fn comparisons(report: &Report) -> impl Iterator<Item = Comparison<'_>> {
    /// The most similar one first.
    const RAW: [Contender; 3] = [
        Contender::RawWithHeaders,
        Contender::RawSameBucket,
        Contender::Raw,
    ];
    HEADLINE_ROWS.iter().filter_map(|row| {
        Some(Comparison {
            row,
            ours: report.of(row, Contender::Ours)?,
            raw: RAW.iter().find_map(|raw| report.of(row, *raw)),
            python: report.of(row, Contender::Python),
        })
    })
}
