//! Whether a target is met.

use serde::Serialize;

use super::Report;
use crate::cases::{self, Of, Row, Target};
use crate::measure::Contender;

/// What a target says of what was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Verdict {
    pub(crate) row: &'static str,
    /// In words, as in `1.02 x raw, same headers; at most 1.10`.
    pub(crate) statement: String,
    /// What is compared: a median of ratios, or a median.
    pub(crate) value: f64,
    pub(crate) bound: f64,
    pub(crate) is_met: bool,
}

/// Of every target for which enough was measured.
pub(super) fn all(report: &Report) -> Vec<Verdict> {
    let rows = cases::all().flat_map(|case| case.rows);
    rows.flat_map(|row| row.targets.iter().map(move |target| (row, target)))
        .filter_map(|(row, target)| verdict(report, row, target))
        .collect()
}

fn verdict(report: &Report, row: &'static Row, target: &Target) -> Option<Verdict> {
    let own = report.of(row.name, Contender::Ours)?;
    let (bound, of) = match *target {
        Target::AtMost(bound, of) | Target::AtLeast(bound, of) | Target::AsFast(bound, of) => {
            (bound, of)
        }
    };
    let (other, compared) = match of {
        Of::Same(contender) => {
            let other = report.of(row.name, contender)?;
            (Some(other), format!(" x {}", contender.title()))
        }
        Of::Row(name, contender) => {
            let other = report.of(name, contender)?;
            let whose = contender.title();
            (Some(other), format!(" x '{name}' of {whose}"))
        }
        Of::Unit => (None, format!(" {}", row.unit.title())),
    };
    let is_faster = matches!(target, Target::AsFast(..));
    let value = match other {
        Some(other) if is_faster => other.ratio_to(own),
        Some(other) => own.ratio_to(other),
        None => own.median(),
    };
    let is_most = matches!(target, Target::AtMost(..));
    let is_met = if is_most {
        value <= bound
    } else {
        value >= bound
    };
    let compared = if is_faster {
        compared.replacen(" x ", " x as fast as ", 1)
    } else {
        compared
    };
    let limit = if is_most { "at most" } else { "at least" };
    let (shown, bound_shown) = match of {
        Of::Unit => (row.unit.show(value), row.unit.show(bound)),
        _ => (ratio(value), ratio(bound)),
    };
    Some(Verdict {
        row: row.name,
        statement: format!("{shown}{}; {limit} {bound_shown}", compared.trim_end()),
        value,
        bound,
        is_met,
    })
}

/// As many digits as matter.
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
