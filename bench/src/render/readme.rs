//! The block of the README.

use super::comparison::{Comparison, comparisons};
use crate::error::Result;
use crate::report::{Report, Series, markdown, ratio};

const BEGIN: &str = "<!-- performance:begin -->\n";
const END: &str = "<!-- performance:end -->";

/// `readme` with the text between the marks replaced.
pub(super) fn with(readme: &str, report: &Report) -> Result<String> {
    let (before, rest) = readme
        .split_once(BEGIN)
        .ok_or("README.md: begin mark not found")?;
    let (_, after) = rest
        .split_once(END)
        .ok_or("README.md: end mark not found")?;
    Ok(format!("{before}{BEGIN}{}{END}{after}", block(report)))
}

fn block(report: &Report) -> String {
    let mut table = markdown(["", "this SDK", "bare `async-nats`", "", "Python SDK", ""]);
    for comparison in comparisons(report) {
        let Comparison {
            row,
            ours,
            raw,
            python,
            ..
        } = comparison;
        table.add_row([
            row.to_owned(),
            shown(Some(ours)),
            shown(raw),
            compared(&comparison, raw),
            shown(python),
            compared(&comparison, python),
        ]);
    }
    format!(
        "{table}\n\n\
         ![Speed next to the bare client](docs/reference/performance.svg)\n\n\
         `cargo xtask bench` on {}. The bare client sends the same headers and uses the same bucket. The factor is the speed, \
         or the inverse of the size, of this SDK as a multiple: the median of the rounds' ratios, which may differ \
         from the ratio of the medians in the columns. [All figures](docs/reference/performance.md), \
         [how they are measured](bench/README.md).\n",
        report.setting()
    )
}

fn shown(series: Option<&Series>) -> String {
    series.map_or_else(String::new, |series| {
        let value = series.unit.show(series.median());
        format!("{value} {}", series.unit.title())
    })
}

/// The factor by which this SDK is faster or smaller than another.
fn compared(comparison: &Comparison<'_>, other: Option<&Series>) -> String {
    other.map_or_else(String::new, |other| {
        format!("{} x", ratio(comparison.ours.advantage_over(other)))
    })
}
