//! Renders the results into the documentation.

mod comparison;
mod page;
mod plot;
mod readme;

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::programs::REPOSITORY;
use crate::report::Report;

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

/// The paths and contents of the files that show `report`.
fn files(report: &Report) -> Result<[(PathBuf, String); 3]> {
    let repository = Path::new(REPOSITORY).canonicalize()?;
    let readme = repository.join("README.md");
    let current = std::fs::read_to_string(&readme)?;
    let book = repository.join("docs").join("reference");
    Ok([
        (readme, readme::with(&current, report)?),
        (book.join("performance.md"), page::of(report)),
        (book.join("performance.svg"), plot::of(report)?),
    ])
}

#[cfg(test)]
mod tests {
    use super::comparison::HEADLINE_ROWS;
    use super::*;
    use crate::cases;
    use crate::programs::RESULTS;

    #[test]
    fn headline_rows_are_rows_of_cases() {
        let rows: Vec<&str> = cases::rows().map(|row| row.name).collect();
        for row in HEADLINE_ROWS {
            assert!(rows.contains(row), "{row}");
        }
    }

    #[test]
    fn documentation_shows_the_results() {
        let report = Report::read(Path::new(RESULTS)).unwrap();
        for (path, text) in files(&report).unwrap() {
            let shown = std::fs::read_to_string(&path).unwrap();
            assert_eq!(
                shown,
                text,
                "{} differs from the output of `cargo run --release -p bench -- render`",
                path.display()
            );
        }
    }
}
