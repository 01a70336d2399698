//! The baseline: the counts in the repository, and their comparison to current ones.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table};
use serde::{Deserialize, Serialize};

use super::case::Case;
use crate::error::Result;
use crate::measure::Contender;
use crate::programs;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json");

const UPDATE: &str = "to accept the counts: cargo xtask instructions --update";

/// Allowed difference of a count in percent. Six runs on a busy machine were within 2 %: the number of
/// messages that a process finds when it wakes varies.
const TOLERANCE_PERCENT: f64 = 3.0;

/// Counts, and the versions of the tools.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Baseline {
    rustc: String,
    valgrind: String,
    /// Per message.
    pub(super) instructions: BTreeMap<Case, Counts>,
}

/// Counts per message. The difference of the two is the share of the SDK.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) ours: u64,
    pub(super) raw_with_headers: u64,
}

impl Baseline {
    pub(super) async fn new(valgrind: String) -> Result<Self> {
        let rustc = programs::output("rustc".as_ref(), &["--version"]).await?;
        Ok(Self {
            rustc: String::from_utf8_lossy(&rustc).trim().to_owned(),
            valgrind,
            instructions: BTreeMap::new(),
        })
    }

    pub(super) fn read() -> Result<Self> {
        let text = std::fs::read_to_string(PATH)
            .map_err(|error| format!("cannot read {PATH}: {error}; {UPDATE}"))?;
        let baseline = serde_json::from_str(&text);
        baseline.map_err(|error| format!("invalid {PATH}: {error}; {UPDATE}").into())
    }

    /// Replaces the baseline of the repository.
    pub(super) fn write(&self) -> Result<()> {
        if let Ok(current) = Self::read() {
            println!("{}", table(&differences(&current, self)));
        }
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        std::fs::write(PATH, text).map_err(|error| format!("cannot write {PATH}: {error}"))?;
        println!("written: {PATH}");
        Ok(())
    }
}

/// Prints the differences between `baseline` and `now`.
///
/// Fails on a difference above the tolerance. A decrease fails too: an old baseline would hide the next
/// regression.
pub(super) fn compare(baseline: &Baseline, now: &Baseline) -> Result<()> {
    let differences = differences(baseline, now);
    println!("{}", table(&differences));
    if (&baseline.rustc, &baseline.valgrind) != (&now.rustc, &now.valgrind) {
        println!(
            "the baseline was counted with {} and {}, now with {} and {}: these may cause differences",
            baseline.rustc, baseline.valgrind, now.rustc, now.valgrind
        );
    }
    let beyond: Vec<String> = differences
        .iter()
        .filter(|difference| !difference.is_tolerable())
        .map(|difference| {
            format!(
                "{}, {}",
                difference.case.title(),
                difference.contender.title()
            )
        })
        .collect();
    if beyond.is_empty() {
        return Ok(());
    }
    let beyond = beyond.join("; ");
    Err(format!("not within {TOLERANCE_PERCENT} % of the baseline: {beyond}; {UPDATE}").into())
}

#[derive(Debug)]
struct Difference {
    case: Case,
    contender: Contender,
    /// `None` if the case is new.
    baseline: Option<u64>,
    now: u64,
}

impl Difference {
    #[expect(clippy::cast_precision_loss, reason = "counts have six digits")]
    fn percent(&self) -> Option<f64> {
        let baseline = self.baseline?;
        Some((self.now as f64 / baseline as f64 - 1.0) * 100.0)
    }

    fn is_tolerable(&self) -> bool {
        self.percent()
            .is_some_and(|percent| percent.abs() <= TOLERANCE_PERCENT)
    }
}

fn differences(baseline: &Baseline, now: &Baseline) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (&case, counts) in &now.instructions {
        let baseline = baseline.instructions.get(&case);
        let mut add = |contender, baseline, now| {
            differences.push(Difference {
                case,
                contender,
                baseline,
                now,
            });
        };
        let ours = baseline.map(|counts| counts.ours);
        add(Contender::Ours, ours, counts.ours);
        let raw = baseline.map(|counts| counts.raw_with_headers);
        add(Contender::RawWithHeaders, raw, counts.raw_with_headers);
    }
    differences
}

fn table(differences: &[Difference]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(["per message", "", "baseline", "now", "difference"]);
    for difference in differences {
        let first = difference.contender == Contender::Ours;
        let percent = difference.percent();
        table.add_row([
            if first { difference.case.title() } else { "" }.to_owned(),
            difference.contender.title().to_owned(),
            difference
                .baseline
                .map_or_else(String::new, |count| count.to_string()),
            difference.now.to_string(),
            percent.map_or_else(|| "new".to_owned(), |percent| format!("{percent:+.2} %")),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counts: &[(Case, u64, u64)]) -> Baseline {
        let counts = counts.iter().map(|&(case, ours, raw_with_headers)| {
            let counts = Counts {
                ours,
                raw_with_headers,
            };
            (case, counts)
        });
        Baseline {
            rustc: "rustc 1.95.0".to_owned(),
            valgrind: "valgrind-3.19.0".to_owned(),
            instructions: counts.collect(),
        }
    }

    #[test]
    fn small_difference_is_tolerated() {
        let baseline = counts(&[(Case::Call, 100_000, 50_000)]);
        compare(&baseline, &baseline).unwrap();
        compare(&baseline, &counts(&[(Case::Call, 102_900, 48_600)])).unwrap();
    }

    #[test]
    fn large_difference_is_named() {
        let baseline = counts(&[(Case::Call, 100_000, 50_000), (Case::Chunk, 10_000, 9_000)]);
        let now = counts(&[(Case::Call, 103_100, 50_000), (Case::Chunk, 9_000, 9_000)]);
        let error = compare(&baseline, &now).unwrap_err().to_string();
        assert!(error.contains("call, ours; chunk, ours;"), "{error}");
        assert!(
            error.contains("cargo xtask instructions --update"),
            "{error}"
        );
    }

    #[test]
    fn new_case_requires_an_update() {
        let baseline = counts(&[(Case::Call, 100_000, 50_000)]);
        let now = counts(&[(Case::Call, 100_000, 50_000), (Case::Event, 7, 5)]);
        let error = compare(&baseline, &now).unwrap_err().to_string();
        assert!(
            error.contains("event, ours; event, raw, same headers"),
            "{error}"
        );
    }

    #[test]
    fn baseline_has_every_case() {
        let baseline = Baseline::read().unwrap();
        assert_eq!(Vec::from_iter(baseline.instructions.into_keys()), Case::ALL);
    }
}
