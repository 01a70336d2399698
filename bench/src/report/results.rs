//! The measured values, and the file that keeps them.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sysinfo::System;
use time::macros::format_description;

use super::series::{self, Series};
use super::verdict::{self, Verdict};
use crate::cases::{self, Row};
use crate::error::Result;
use crate::measure::Contender;

/// The measured values of one or more runs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The day of the last run.
    pub(crate) date: String,
    pub(crate) machine: Machine,
    pub(crate) nats_server: String,
    /// The name of the other build, if one took part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) against: Option<String>,
    pub(crate) series: Vec<Series>,
    /// The verdicts; written for other programs, never read.
    #[serde(skip_deserializing)]
    targets: Vec<Verdict>,
}

/// The machine of the last run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) processor: String,
    pub(crate) system: String,
}

impl Machine {
    fn this() -> Result<Self> {
        let mut known = System::new()?;
        known.refresh_cpu_all();
        let brand = known.cpus().first().map(|cpu| cpu.brand().trim());
        Ok(Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: brand.unwrap_or("unknown processor").to_owned(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        })
    }
}

impl Report {
    /// An empty report of today and this machine.
    pub(crate) fn new(nats_server: String, against: Option<String>) -> Result<Self> {
        let day = format_description!("[year]-[month]-[day]");
        Ok(Self {
            date: time::OffsetDateTime::now_utc().format(day)?,
            machine: Machine::this()?,
            nats_server,
            against,
            series: Vec::new(),
            targets: Vec::new(),
        })
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
        let mut report: Self = serde_json::from_str(&text).map_err(|error| failed(&error))?;
        report.arrange();
        Ok(report)
    }

    /// Writes the report, and keeps the series of an existing file that this run did not measure.
    pub(crate) fn write(&mut self, path: &Path) -> Result<()> {
        if path.exists() {
            let earlier = Self::read(path)?;
            let is_kept = |series: &Series| self.of(&series.row, series.contender).is_none();
            let kept: Vec<Series> = earlier.series.into_iter().filter(is_kept).collect();
            self.series.extend(kept);
        }
        self.arrange();
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()).into())
    }

    /// Adds a value of one round.
    pub(crate) fn add(&mut self, row: &Row, contender: Contender, count: u32, value: f64) {
        let is_same = |known: &Series| known.row == row.name && known.contender == contender;
        let index = self.series.iter().position(is_same).unwrap_or_else(|| {
            self.series.push(Series {
                row: row.name.to_owned(),
                contender,
                unit: row.unit,
                date: self.date.clone(),
                count,
                values: Vec::new(),
            });
            self.series.len() - 1
        });
        let series = &mut self.series[index];
        series.count = count;
        series.values.push(value);
    }

    /// Sorts the series in the order of the cases, drops those of unknown rows, and updates the
    /// verdicts.
    pub(crate) fn arrange(&mut self) {
        let rows: Vec<&str> = cases::rows().map(|row| row.name).collect();
        let place = |series: &Series| rows.iter().position(|row| *row == series.row);
        self.series.retain(|series| place(series).is_some());
        self.series
            .sort_by_key(|series| (place(series), series.contender));
        self.targets = verdict::all(&self.series);
    }

    /// The series of a contender in a row.
    pub(crate) fn of(&self, row: &str, contender: Contender) -> Option<&Series> {
        series::find(&self.series, row, contender)
    }

    /// The name of a contender in this report.
    pub(crate) fn title(&self, contender: Contender) -> &str {
        match (&self.against, contender) {
            (Some(name), Contender::Other) => name,
            _ => contender.title(),
        }
    }

    /// The machine, the server and the day, as one line.
    pub(crate) fn setting(&self) -> String {
        let Machine {
            cores,
            processor,
            system,
        } = &self.machine;
        let server = &self.nats_server;
        format!(
            "{cores} cores ({processor}), {system}, nats-server {server}, {}",
            self.date
        )
    }

    /// The series that the last run did not measure.
    pub(crate) fn older(&self) -> impl Iterator<Item = &Series> {
        let is_older = |series: &&Series| series.date != self.date;
        self.series.iter().filter(is_older)
    }

    pub(crate) fn verdicts(&self) -> &[Verdict] {
        &self.targets
    }
}
