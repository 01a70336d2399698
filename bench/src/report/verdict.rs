//! The verdict on each target.

use serde::Serialize;

use super::series::{Series, find};
use crate::cases::{self, Row, Target};
use crate::measure::Contender;

/// The verdict on one target.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Verdict {
    pub(crate) row: &'static str,
    pub(crate) contender: Contender,
    /// For example `1.02 x raw, same headers; at most 1.10`.
    pub(crate) statement: String,
    /// The compared value: a median of ratios, or a median.
    pub(crate) value: f64,
    pub(crate) bound: f64,
    pub(crate) is_met: bool,
}

/// The verdicts on all targets whose series were measured.
pub(super) fn all(series: &[Series]) -> Vec<Verdict> {
    cases::rows()
        .flat_map(|row| {
            let ours = row.targets.iter().map(|target| (Contender::Ours, *target));
            let python = row
                .python_target
                .map(|target| (Contender::PythonPackage, target));
            ours.chain(python)
                .filter_map(move |(own, target)| verdict(series, row, own, target))
        })
        .collect()
}

fn verdict(
    series: &[Series],
    row: &'static Row,
    own: Contender,
    target: Target,
) -> Option<Verdict> {
    let contender = own;
    let own = find(series, row.name, own)?;
    let other = |contender| find(series, row.name, contender);
    let (value, bound, is_met, statement) = match target {
        Target::AtMost(bound, contender) => {
            let value = own.ratio_to(other(contender)?);
            let name = contender.title();
            let statement = format!("{} x {name}; at most {}", ratio(value), ratio(bound));
            (value, bound, value <= bound, statement)
        }
        Target::AtLeast(bound, contender) => {
            let value = own.ratio_to(other(contender)?);
            let name = contender.title();
            let statement = format!("{} x {name}; at least {}", ratio(value), ratio(bound));
            (value, bound, value >= bound, statement)
        }
        Target::AsFast(bound, contender) => {
            let value = other(contender)?.ratio_to(own);
            let (shown, name) = (ratio(value), contender.title());
            let statement = format!("{shown} x as fast as {name}; at least {}", ratio(bound));
            (value, bound, value >= bound, statement)
        }
        Target::AtLeastOfRow(bound, row) => {
            let value = own.ratio_to(find(series, row, contender)?);
            let statement = format!("{} x '{row}'; at least {}", ratio(value), ratio(bound));
            (value, bound, value >= bound, statement)
        }
        Target::AtMostOfRow(bound, row) => {
            let value = own.ratio_to(find(series, row, contender)?);
            let statement = format!("{} x '{row}'; at most {}", ratio(value), ratio(bound));
            (value, bound, value <= bound, statement)
        }
        Target::Limit(bound) => {
            let value = own.median();
            let unit = row.unit;
            let (shown, limit) = (unit.show(value), unit.show(bound));
            let statement = format!("{shown} {}; at most {limit}", unit.title());
            (value, bound, value <= bound, statement)
        }
    };
    Some(Verdict {
        row: row.name,
        contender,
        statement,
        value,
        bound,
        is_met,
    })
}

/// A ratio with three significant digits.
pub(crate) fn ratio(value: f64) -> String {
    if value < 0.1 {
        format!("{value:.3}")
    } else if value < 10.0 {
        format!("{value:.2}")
    } else if value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}
