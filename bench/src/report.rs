//! What came of it, for people and for programs.

use std::io::Write;

use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::Result;
use crate::measure::{BODY_BYTES, Contender};

/// Everything that was measured in one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    cores: usize,
    nats_server: String,
    body_bytes: usize,
    rounds: u32,
    series: Vec<Series>,
}

/// One contender's values of one measure, one per round.
#[derive(Debug, Serialize)]
pub(crate) struct Series {
    what: &'static str,
    contender: Contender,
    unit: Unit,
    /// How many messages each value is of.
    messages: u32,
    values: Vec<f64>,
}

/// What a value says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    /// Less is better.
    Microseconds,
    /// More is better.
    PerSecond,
}

impl Series {
    pub(crate) fn new(what: &'static str, contender: Contender, unit: Unit) -> Self {
        Self {
            what,
            contender,
            unit,
            messages: 0,
            values: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, messages: u32, value: f64) {
        self.messages = messages;
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
    pub(crate) fn new(rounds: u32, nats_server: String) -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            nats_server,
            body_bytes: BODY_BYTES,
            rounds,
            series: Vec::new(),
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
        Some(series.spread()[1] / median)
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::ASCII_MARKDOWN);
        table.set_header([
            "",
            "",
            "unit",
            "median",
            "min..max",
            "to raw, same headers",
            "to raw",
        ]);
        let mut shown = "";
        for series in self.in_order() {
            let [min, median, max] = series.spread();
            let number = |value: f64| match series.unit {
                Unit::Microseconds => format!("{value:.0}"),
                Unit::PerSecond => format!("{:.1}k", value / 1e3),
            };
            let ratio = |to| match self.ratio(series, to) {
                Some(ratio) if to != series.contender => format!("{ratio:.2}"),
                _ => String::new(),
            };
            let what = if series.what == shown {
                ""
            } else {
                series.what
            };
            shown = series.what;
            table.add_row([
                what.to_owned(),
                series.contender.title().to_owned(),
                match series.unit {
                    Unit::Microseconds => "µs".to_owned(),
                    Unit::PerSecond => "1/s".to_owned(),
                },
                number(median),
                format!("{}..{}", number(min), number(max)),
                ratio(Contender::RawWithHeaders),
                ratio(Contender::Raw),
            ]);
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
        series.sort_by_key(|series| (place(series.what), series.contender as u8));
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
        "{} cores, nats-server {}, bodies of {} bytes, rounds: {}\n\n{}",
        report.cores,
        report.nats_server,
        report.body_bytes,
        report.rounds,
        report.table()
    )?;
    Ok(())
}
