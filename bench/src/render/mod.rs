//! Writes what was measured into the documentation: nothing there is typed by hand.

mod page;
mod plot;
mod readme;

use std::path::{Path, PathBuf};

use crate::Result;
use crate::measure::Contender;
use crate::programs::REPOSITORY;
use crate::report::{Report, Series};

/// What whoever has little time wants to know.
const TELLING: &[&str] = &[
    "call, p50",
    "calls, 64 in flight",
    "chunks of a stream",
    "events",
    "values got, 32 at a time",
    "64 MiB put",
    "64 MiB got",
    "1,000 agents by one process",
    "connect, and know its catalog",
    "process start to callable",
    "idle host of 1,000 agents: memory",
];

/// Writes the files that show `report`.
pub(crate) fn write(report: &Report) -> Result<()> {
    for (path, text) in files(report)? {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        std::fs::write(&path, text)?;
        eprintln!("rendered: {}", path.display());
    }
    Ok(())
}

/// The files that show `report`, and what is in them.
fn files(report: &Report) -> Result<[(PathBuf, String); 3]> {
    let repository = Path::new(REPOSITORY).canonicalize()?;
    let readme = repository.join("README.md");
    let before = std::fs::read_to_string(&readme)?;
    let book = repository.join("docs").join("src");
    Ok([
        (readme, readme::with(&before, report)?),
        (book.join("performance.md"), page::of(report)),
        (book.join("performance.svg"), plot::of(report)?),
    ])
}

/// A telling row: this SDK, the bare client with as much to do, and the Python SDK.
struct Comparison<'r> {
    row: &'r str,
    ours: &'r Series,
    raw: Option<&'r Series>,
    python: Option<&'r Series>,
}

impl Comparison<'_> {
    /// How many times as good as the raw client somebody is.
    fn to_raw(&self, series: &Series) -> Option<f64> {
        Some(series.advantage_over(self.raw?))
    }
}

fn comparisons(report: &Report) -> impl Iterator<Item = Comparison<'_>> {
    TELLING.iter().filter_map(|row| {
        let ours = report.of(row, Contender::Ours)?;
        let raw = report
            .of(row, Contender::RawWithHeaders)
            .or_else(|| report.of(row, Contender::Raw));
        Some(Comparison {
            row,
            ours,
            raw,
            python: report.of(row, Contender::Python),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RESULTS, cases};

    #[test]
    fn telling_rows_are_rows() {
        let rows: Vec<&str> = cases::all()
            .flat_map(|case| case.rows)
            .map(|row| row.name)
            .collect();
        for row in TELLING {
            assert!(rows.contains(row), "{row}");
        }
    }

    #[test]
    fn the_documentation_shows_the_results() {
        let report = Report::read(Path::new(RESULTS)).unwrap();
        for (path, text) in files(&report).unwrap() {
            let shown = std::fs::read_to_string(&path).unwrap();
            assert_eq!(
                shown,
                text,
                "{} is not what `cargo run --release -p bench -- render` writes",
                path.display()
            );
        }
    }
}
