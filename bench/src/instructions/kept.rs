//! The counts that the repository keeps, and how those of now differ.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table};
use serde::{Deserialize, Serialize};

use super::Case;
use crate::Result;
use crate::measure::Contender;
use crate::programs;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json");

const UPDATE: &str = "if that is wanted, keep it: cargo xtask instructions --update";

/// By how many percent a count may differ. Six runs on a busy machine were within 2 % of each other: how
/// many messages a process finds at once when it wakes is chance.
const TOLERANCE: f64 = 3.0;

/// Counts, and with what they were made.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    rustc: String,
    valgrind: String,
    /// Per message.
    pub(super) instructions: BTreeMap<Case, Counts>,
}

/// Whose part is whose: what ours takes beyond the bare client is the SDK's own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) ours: u64,
    pub(super) raw_with_headers: u64,
}

impl Kept {
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
            .map_err(|error| format!("{PATH} cannot be read: {error}; {UPDATE}"))?;
        let kept = serde_json::from_str(&text);
        kept.map_err(|error| format!("{PATH} is damaged: {error}; {UPDATE}").into())
    }

    /// Keeps them instead of what has been kept so far.
    pub(super) fn write(&self) -> Result<()> {
        if let Ok(before) = Self::read() {
            println!("{}", table(&differences(&before, self)));
        }
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        std::fs::write(PATH, text).map_err(|error| format!("{PATH} cannot be written: {error}"))?;
        println!("kept in {PATH}");
        Ok(())
    }
}

/// Prints how `now` differs from what was kept.
///
/// Fails when it differs by more than may be chance: by less, too, because what is kept would hide the
/// next regression.
pub(super) fn compare(kept: &Kept, now: &Kept) -> Result<()> {
    let differences = differences(kept, now);
    println!("{}", table(&differences));
    if (&kept.rustc, &kept.valgrind) != (&now.rustc, &now.valgrind) {
        println!(
            "kept with {} and {}, counted now with {} and {}: a difference may come from them",
            kept.rustc, kept.valgrind, now.rustc, now.valgrind
        );
    }
    let beyond: Vec<String> = differences
        .iter()
        .filter(|difference| !difference.is_tolerable())
        .map(|difference| format!("{}, {}", difference.case.title(), difference.by.title()))
        .collect();
    if beyond.is_empty() {
        return Ok(());
    }
    let beyond = beyond.join("; ");
    Err(format!("not within {TOLERANCE} % of what was kept: {beyond}; {UPDATE}").into())
}

#[derive(Debug)]
struct Difference {
    case: Case,
    by: Contender,
    /// Nothing, if the case is new.
    kept: Option<u64>,
    now: u64,
}

impl Difference {
    #[expect(clippy::cast_precision_loss, reason = "counts have six digits")]
    fn percent(&self) -> Option<f64> {
        let kept = self.kept?;
        Some((self.now as f64 / kept as f64 - 1.0) * 100.0)
    }

    fn is_tolerable(&self) -> bool {
        self.percent()
            .is_some_and(|percent| percent.abs() <= TOLERANCE)
    }
}

fn differences(kept: &Kept, now: &Kept) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (&case, counts) in &now.instructions {
        let kept = kept.instructions.get(&case);
        let mut add = |by, kept, now| {
            differences.push(Difference {
                case,
                by,
                kept,
                now,
            });
        };
        add(Contender::Ours, kept.map(|kept| kept.ours), counts.ours);
        add(
            Contender::RawWithHeaders,
            kept.map(|kept| kept.raw_with_headers),
            counts.raw_with_headers,
        );
    }
    differences
}

fn table(differences: &[Difference]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(["per message", "", "kept", "now", "difference"]);
    for difference in differences {
        let first = difference.by == Contender::Ours;
        let percent = difference.percent();
        table.add_row([
            if first { difference.case.title() } else { "" }.to_owned(),
            difference.by.title().to_owned(),
            difference
                .kept
                .map_or_else(String::new, |kept| kept.to_string()),
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

    fn counts(counts: &[(Case, u64, u64)]) -> Kept {
        let counts = counts.iter().map(|&(case, ours, raw_with_headers)| {
            let counts = Counts {
                ours,
                raw_with_headers,
            };
            (case, counts)
        });
        Kept {
            rustc: "rustc 1.95.0".to_owned(),
            valgrind: "valgrind-3.19.0".to_owned(),
            instructions: counts.collect(),
        }
    }

    #[test]
    fn what_may_be_chance_is_tolerated() {
        let kept = counts(&[(Case::Call, 100_000, 50_000)]);
        compare(&kept, &kept).unwrap();
        compare(&kept, &counts(&[(Case::Call, 102_900, 48_600)])).unwrap();
    }

    #[test]
    fn what_differs_is_named() {
        let kept = counts(&[(Case::Call, 100_000, 50_000), (Case::Chunk, 10_000, 9_000)]);
        let now = counts(&[(Case::Call, 103_100, 50_000), (Case::Chunk, 9_000, 9_000)]);
        let error = compare(&kept, &now).unwrap_err().to_string();
        assert!(error.contains("call, ours; chunk, ours;"), "{error}");
        assert!(
            error.contains("cargo xtask instructions --update"),
            "{error}"
        );
    }

    #[test]
    fn a_new_case_has_to_be_kept() {
        let kept = counts(&[(Case::Call, 100_000, 50_000)]);
        let now = counts(&[(Case::Call, 100_000, 50_000), (Case::Event, 7, 5)]);
        let error = compare(&kept, &now).unwrap_err().to_string();
        assert!(
            error.contains("event, ours; event, raw, same headers"),
            "{error}"
        );
    }

    #[test]
    fn the_repository_keeps_every_case() {
        let kept = Kept::read().unwrap();
        assert_eq!(Vec::from_iter(kept.instructions.into_keys()), Case::ALL);
    }
}
