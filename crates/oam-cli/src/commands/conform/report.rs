//! The report of a check.

use std::path::PathBuf;

use openagentmesh_conform::{
    Counts, Expected, Judged, Outcome, Report, Requirement, Role, Surprise,
};
use serde::Serialize;

use crate::cli::ConformReport;
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::printer::{FAINT, Printer, STRONG};

/// The width of the longest id and two spaces.
const ID_COLUMNS: usize = 27;

/// The list of expected failures, and the form of the report.
pub(super) struct Expectations {
    expected: Option<Expected>,
}

#[derive(Serialize)]
struct Document<'r> {
    role: Role,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    agents: &'r [String],
    rules: Vec<Row<'r>>,
    summary: openagentmesh_conform::Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    surprises: Option<Vec<Surprise>>,
    success: bool,
}

#[derive(Serialize)]
struct Row<'r> {
    #[serde(flatten)]
    judged: &'r Judged,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<&'r str>,
}

impl Expectations {
    /// Reads the list, before the check starts.
    pub(super) fn read(arguments: &ConformReport, role: Role) -> Result<Self, Failure> {
        let read = |path: &PathBuf| {
            let shown = path.display();
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failure::usage(format!("cannot read file {shown}: {error}")))?;
            Expected::parse(&text, role)
                .map_err(|error| Failure::usage(format!("invalid file {shown}: {error}")))
        };
        Ok(Self {
            expected: arguments.expected.as_ref().map(read).transpose()?,
        })
    }

    /// Prints the report, and returns the exit code.
    pub(super) fn print(
        &self,
        agents: &[String],
        report: &Report,
        printer: &Printer,
    ) -> Result<ExitCode, Failure> {
        let surprises = self
            .expected
            .as_ref()
            .map(|expected| expected.compare(report));
        let success = match &surprises {
            Some(surprises) => surprises.is_empty(),
            None => report.is_success(),
        };
        let rows = report.judged().iter().map(|judged| Row {
            judged,
            expected: self.reason(judged),
        });
        if printer.is_json() {
            printer.json(&Document {
                role: report.role(),
                agents,
                rules: rows.collect(),
                summary: report.summary(),
                surprises,
                success,
            })?;
        } else {
            for (requirement, title) in [
                (Requirement::Required, "required"),
                (Requirement::Extension, "extensions"),
            ] {
                printer.title(title)?;
                let own = |row: &Row<'_>| row.judged.rule.requirement == requirement;
                for row in rows.clone().filter(own) {
                    printer.line(line(&row))?;
                }
            }
            for surprise in surprises.iter().flatten() {
                printer.line(match surprise {
                    Surprise::UnlistedFailure { rule, .. } => {
                        format!("unlisted failure: {rule}")
                    }
                    Surprise::ListedPass { rule } => {
                        format!("listed pass: {rule}; remove its line from the list")
                    }
                })?;
            }
            let summary = report.summary();
            let (required, extension) = (counts(summary.required), counts(summary.extension));
            printer.line(format!("required: {required}; extensions: {extension}"))?;
        }
        Ok(if success {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    fn reason(&self, judged: &Judged) -> Option<&str> {
        self.expected.as_ref()?.reason(judged.rule.id)
    }
}

fn line(row: &Row<'_>) -> String {
    let Judged { rule, outcome } = row.judged;
    let word = outcome.as_str();
    let word = match outcome {
        Outcome::Failed(_) => format!("{STRONG}{word:<9}{STRONG:#}"),
        _ => format!("{word:<9}"),
    };
    let mut line = format!("{word}{:<ID_COLUMNS$}{}", rule.id, rule.title);
    if let Some(reason) = outcome.reason() {
        line += &format!(": {reason}");
    }
    if let Some(expected) = row.expected {
        line += &format!(" (expected: {expected})");
    }
    line + &format!("  {FAINT}{}{FAINT:#}", rule.link())
}

fn counts(counts: Counts) -> String {
    let Counts {
        passed,
        failed,
        skipped,
    } = counts;
    format!("{passed} passed, {failed} failed, {skipped} skipped")
}
