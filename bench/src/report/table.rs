//! Tables, as Markdown.

use comfy_table::{CellAlignment, Table};

use super::results::Report;
use super::series::Series;
use super::verdict::ratio;
use crate::measure::Contender;

/// The contenders that the ratio columns compare to.
const REFERENCES: [Contender; 3] = [Contender::RawWithHeaders, Contender::Raw, Contender::Python];

/// All measured values, row by row, with the medians of the ratios.
pub(crate) fn values(report: &Report) -> Table {
    let mut header = ["", "", "unit", "median", "min..max"]
        .map(str::to_owned)
        .to_vec();
    header.extend(REFERENCES.map(|to| format!("to {}", to.title())));
    let mut table = markdown(header);
    let mut shown = "";
    for series in &report.series {
        let [min, median, max] = series.spread();
        let number = |value| series.unit.show(value);
        let name = if series.row == shown { "" } else { &series.row };
        shown = &series.row;
        let mut row = vec![
            name.to_owned(),
            report.title(series.contender).to_owned(),
            series.unit.title().to_owned(),
            number(median),
            format!("{}..{}", number(min), number(max)),
        ];
        row.extend(REFERENCES.map(|to| compared(report, series, to).unwrap_or_default()));
        table.add_row(row);
    }
    align_right(&mut table, 3);
    table
}

fn compared(report: &Report, series: &Series, to: Contender) -> Option<String> {
    if series.contender == to {
        return None;
    }
    let value = series.ratio_to(report.of(&series.row, to)?);
    // A count may be 0 for both.
    value.is_finite().then(|| ratio(value))
}

/// The verdicts on the targets.
pub(crate) fn targets(report: &Report) -> Table {
    let mut table = markdown(["", "", "this SDK", "target"]);
    for verdict in report.verdicts() {
        let met = if verdict.is_met { "met" } else { "missed" };
        let title = report.title(verdict.contender);
        table.add_row([verdict.row, title, &verdict.statement, met]);
    }
    table
}

/// The ratios of the other build to this one, row by row; `None` if no other build took part.
pub(crate) fn ablation(report: &Report) -> Option<Table> {
    let name = report.against.as_deref()?;
    let ratio_title = format!("{name} / ours");
    let mut table = markdown(["", "unit", "ours", name, &ratio_title, "min..max"]);
    for ours in &report.series {
        if ours.contender != Contender::Ours {
            continue;
        }
        let Some(other) = report.of(&ours.row, Contender::Other) else {
            continue;
        };
        let [min, median, max] = other.ratios_to(ours);
        // A count may be 0 for both.
        if !median.is_finite() {
            continue;
        }
        table.add_row([
            ours.row.clone(),
            ours.unit.title().to_owned(),
            ours.unit.show(ours.median()),
            other.unit.show(other.median()),
            ratio(median),
            format!("{}..{}", ratio(min), ratio(max)),
        ]);
    }
    align_right(&mut table, 2);
    Some(table)
}

pub(crate) fn markdown(header: impl Into<comfy_table::Row>) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(header);
    table
}

fn align_right(table: &mut Table, from: usize) {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
