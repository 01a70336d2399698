//! What came of it, for people and for programs.

use std::io::Write;

use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::Result;
use crate::measure::Contender;

/// Everything that was measured in one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    cores: usize,
    nats_server: String,
    /// What it was measured with, in words.
    setting: String,
    rounds: u32,
    series: Vec<Series>,
    /// Whom the others are compared to.
    #[serde(skip)]
    references: &'static [Contender],
}

/// One contender's values of one measure, one per round.
#[derive(Debug, Serialize)]
pub(crate) struct Series {
    what: String,
    contender: Contender,
    unit: Unit,
    /// How many messages, agents or MiB each value is of.
    count: u32,
    values: Vec<f64>,
}

/// What a value says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    /// Less is better.
    Microseconds,
    /// Less is better.
    Milliseconds,
    /// More is better.
    PerSecond,
    /// More is better.
    MebibytesPerSecond,
    /// Less is better.
    Kibibytes,
    /// Less is better.
    Mebibytes,
    /// Less is better.
    Count,
}

impl Unit {
    const fn title(self) -> &'static str {
        match self {
            Self::Microseconds => "µs",
            Self::Milliseconds => "ms",
            Self::PerSecond => "1/s",
            Self::MebibytesPerSecond => "MiB/s",
            Self::Kibibytes => "KiB",
            Self::Mebibytes => "MiB",
            Self::Count => "",
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::PerSecond => format!("{:.1}k", value / 1e3),
            Self::Milliseconds if value < 100.0 => format!("{value:.1}"),
            _ => format!("{value:.0}"),
        }
    }
}

impl Series {
    pub(crate) fn new(what: impl Into<String>, contender: Contender, unit: Unit) -> Self {
        Self {
            what: what.into(),
            contender,
            unit,
            count: 0,
            values: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, count: u32, value: f64) {
        self.count = count;
        self.values.push(value);
    }

    /// The smallest, the median and the greatest value.
    fn spread(&self) -> [f64; 3] {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let middle = (at((values.len().saturating_sub(1)) / 2) + at(values.len() / 2)) / 2.0;
        [at(0), middle, at(values.len().saturating_sub(1))]
    }
}

impl Report {
    pub(crate) fn new(
        rounds: u32,
        nats_server: String,
        setting: String,
        references: &'static [Contender],
    ) -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            nats_server,
            setting,
            rounds,
            series: Vec::new(),
            references,
        }
    }

    /// The series of this kind, which is begun if there is none.
    pub(crate) fn series(&mut self, new: Series) -> &mut Series {
        let same = |known: &Series| known.what == new.what && known.contender == new.contender;
        let index = self.series.iter().position(same).unwrap_or_else(|| {
            self.series.push(new);
            self.series.len() - 1
        });
        &mut self.series[index]
    }

    /// How the median of `series` compares to that of another contender.
    fn ratio(&self, series: &Series, to: Contender) -> Option<f64> {
        let same = |other: &&Series| other.what == series.what && other.contender == to;
        let [_, median, _] = self.series.iter().find(same)?.spread();
        let ratio = series.spread()[1] / median;
        // Nothing can be told from none, such as of entries that went missing.
        ratio.is_finite().then_some(ratio)
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::ASCII_MARKDOWN);
        let mut header = ["", "", "unit", "median", "min..max"]
            .map(str::to_owned)
            .to_vec();
        let references = self.references.iter();
        header.extend(references.map(|to| format!("to {}", to.title())));
        table.set_header(header);
        let mut shown = "";
        for series in self.in_order() {
            let [min, median, max] = series.spread();
            let number = |value| series.unit.show(value);
            let what = if series.what == shown {
                ""
            } else {
                &series.what
            };
            shown = &series.what;
            let mut row = vec![
                what.to_owned(),
                series.contender.title().to_owned(),
                series.unit.title().to_owned(),
                number(median),
                format!("{}..{}", number(min), number(max)),
            ];
            row.extend(
                self.references
                    .iter()
                    .map(|&to| match self.ratio(series, to) {
                        Some(ratio) if to != series.contender => format!("{ratio:.2}"),
                        _ => String::new(),
                    }),
            );
            table.add_row(row);
        }
        for column in table.column_iter_mut().skip(3) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    /// Measure by measure, whoever was the first in the first round.
    fn in_order(&self) -> impl Iterator<Item = &Series> {
        let mut series: Vec<&Series> = self.series.iter().collect();
        let place = |what: &str| self.series.iter().position(|series| series.what == what);
        series.sort_by_key(|series| (place(&series.what), series.contender as u8));
        series.into_iter()
    }
}

pub(crate) fn print(report: &Report, json: bool) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut stdout, report)?;
        writeln!(stdout)?;
        return Ok(());
    }
    writeln!(
        stdout,
        "{} cores, nats-server {}, {}, rounds: {}\n\n{}",
        report.cores,
        report.nats_server,
        report.setting,
        report.rounds,
        report.table()
    )?;
    Ok(())
}
