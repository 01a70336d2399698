//! The values of one contender in one row.

use serde::{Deserialize, Serialize};

use crate::measure::Contender;
use crate::unit::Unit;

/// One contender's values of one row, one per round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Series {
    pub(crate) row: String,
    pub(crate) contender: Contender,
    pub(crate) unit: Unit,
    /// The day of the measurement.
    pub(crate) date: String,
    /// Messages, agents or MiB per value.
    pub(crate) count: u32,
    pub(crate) values: Vec<f64>,
}

impl Series {
    /// Minimum, median and maximum.
    pub(crate) fn spread(&self) -> [f64; 3] {
        spread(self.values.clone())
    }

    pub(crate) fn median(&self) -> f64 {
        self.spread()[1]
    }

    /// Minimum, median and maximum of the ratios of each round to another series: the two share the
    /// conditions of a round, and the machine differs between rounds. The ratio of the medians if the
    /// series have different numbers of rounds.
    pub(crate) fn ratios_to(&self, other: &Self) -> [f64; 3] {
        if self.values.len() != other.values.len() {
            return [self.median() / other.median(); 3];
        }
        let rounds = self.values.iter().zip(&other.values);
        spread(rounds.map(|(own, other)| own / other).collect())
    }

    /// The median of [`ratios_to`](Self::ratios_to).
    pub(crate) fn ratio_to(&self, other: &Self) -> f64 {
        self.ratios_to(other)[1]
    }

    /// The speed, or the inverse of the size, as a multiple of another's.
    pub(crate) fn advantage_over(&self, other: &Self) -> f64 {
        match self.unit {
            Unit::PerSecond | Unit::MebibytesPerSecond => self.ratio_to(other),
            _ => other.ratio_to(self),
        }
    }
}

fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    let last = values.len().saturating_sub(1);
    [
        at(0),
        f64::midpoint(at(last / 2), at(values.len() / 2)),
        at(last),
    ]
}

/// The series of a contender in a row.
pub(super) fn find<'s>(
    series: &'s [Series],
    row: &str,
    contender: Contender,
) -> Option<&'s Series> {
    let is_same = |series: &&Series| series.row == row && series.contender == contender;
    series.iter().find(is_same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> Series {
        Series {
            row: String::new(),
            contender: Contender::Ours,
            unit: Unit::PerSecond,
            date: String::new(),
            count: 1,
            values: values.to_vec(),
        }
    }

    #[test]
    fn ratio_is_the_median_of_the_rounds_ratios() {
        // The machine had half of its speed in the second round.
        let (own, other) = (series(&[9.0, 5.0, 8.0]), series(&[10.0, 5.0, 8.0]));
        assert!((own.ratio_to(&other) - 1.0).abs() < 1e-9);
        assert!((own.ratio_to(&series(&[4.0])) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn ratios_have_the_spread_of_the_rounds() {
        let (own, other) = (series(&[9.0, 5.0, 8.0]), series(&[10.0, 5.0, 4.0]));
        let [min, median, max] = own.ratios_to(&other);
        assert!((min - 0.9).abs() < 1e-9);
        assert!((median - 1.0).abs() < 1e-9);
        assert!((max - 2.0).abs() < 1e-9);
    }
}
