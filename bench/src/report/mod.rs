//! What came of it, for people and for programs.

mod series;
mod table;
mod verdict;

use std::path::Path;

use serde::{Deserialize, Serialize};
use sysinfo::System;
use time::macros::format_description;

use crate::Result;
use crate::cases;
use crate::measure::Contender;

pub(crate) use series::{Series, Unit};
pub(crate) use table::{markdown, targets, values};
pub(crate) use verdict::{Verdict, ratio};

/// Everything that was measured, by one run or by several.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The day of the last run.
    pub(crate) date: String,
    pub(crate) machine: Machine,
    pub(crate) nats_server: String,
    pub(crate) series: Vec<Series>,
    /// What the targets say of it; for programs that read it.
    #[serde(skip_deserializing)]
    targets: Vec<Verdict>,
}

/// What it was measured on.
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
    /// Of a run that begins today, on this machine.
    pub(crate) fn new(nats_server: String) -> Result<Self> {
        let day = format_description!("[year]-[month]-[day]");
        Ok(Self {
            date: time::OffsetDateTime::now_utc().format(day)?,
            machine: Machine::this()?,
            nats_server,
            series: Vec::new(),
            targets: Vec::new(),
        })
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let said = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| said(&error))?;
        let mut report: Self = serde_json::from_str(&text).map_err(|error| said(&error))?;
        report.arrange();
        Ok(report)
    }

    /// Writes it, with what is at `path` of cases that were not run now.
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

    /// Adds what was measured in one round.
    pub(crate) fn add(&mut self, row: &cases::Row, contender: Contender, count: u32, value: f64) {
        let same = |known: &Series| known.row == row.name && known.contender == contender;
        let index = self.series.iter().position(same).unwrap_or_else(|| {
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

    /// Row by row in the order of the cases, without those that there are no more, and judged.
    pub(crate) fn arrange(&mut self) {
        let rows: Vec<&str> = cases::all()
            .flat_map(|case| case.rows)
            .map(|row| row.name)
            .collect();
        let place = |series: &Series| rows.iter().position(|row| *row == series.row);
        self.series.retain(|series| place(series).is_some());
        self.series
            .sort_by_key(|series| (place(series), series.contender));
        self.targets = verdict::all(self);
    }

    /// What a contender has in a row.
    pub(crate) fn of(&self, row: &str, contender: Contender) -> Option<&Series> {
        let same = |series: &&Series| series.row == row && series.contender == contender;
        self.series.iter().find(same)
    }

    /// What it was measured on, in words.
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

    /// What other runs than the last have measured.
    pub(crate) fn older(&self) -> impl Iterator<Item = &Series> {
        let is_older = |series: &&Series| series.date != self.date;
        self.series.iter().filter(is_older)
    }

    pub(crate) fn verdicts(&self) -> &[Verdict] {
        &self.targets
    }
}
