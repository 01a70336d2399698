//! Tables, in Markdown that can be read as it is.

use comfy_table::{CellAlignment, Table};

use super::verdict::ratio;
use super::{Report, Series};
use crate::measure::Contender;

/// Whom the others are compared to.
const REFERENCES: [Contender; 3] = [Contender::RawWithHeaders, Contender::Raw, Contender::Python];

/// Everything that was measured, row by row, with the medians of the ratios.
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
            series.contender.title().to_owned(),
            series.unit.title().to_owned(),
            number(median),
            format!("{}..{}", number(min), number(max)),
        ];
        row.extend(REFERENCES.map(|to| compared(report, series, to).unwrap_or_default()));
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn compared(report: &Report, series: &Series, to: Contender) -> Option<String> {
    if series.contender == to {
        return None;
    }
    let value = series.ratio_to(report.of(&series.row, to)?);
    // Nothing can be told from none, such as of entries that went missing.
    value.is_finite().then(|| ratio(value))
}

/// What the targets say of it.
pub(crate) fn targets(report: &Report) -> Table {
    let mut table = markdown(["", "this SDK", "target"]);
    for verdict in report.verdicts() {
        let met = if verdict.is_met { "met" } else { "missed" };
        table.add_row([verdict.row, &verdict.statement, met]);
    }
    table
}

pub(crate) fn markdown(header: impl Into<comfy_table::Row>) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(header);
    table
}
