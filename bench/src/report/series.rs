//! The values of one contender in one row.

use serde::{Deserialize, Serialize};

use crate::measure::Contender;

/// One contender's values of one row, one for each round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Series {
    pub(crate) row: String,
    pub(crate) contender: Contender,
    pub(crate) unit: Unit,
    /// The day on which it was measured.
    pub(crate) date: String,
    /// How many messages, agents or MiB each value is of.
    pub(crate) count: u32,
    pub(crate) values: Vec<f64>,
}

impl Series {
    /// The smallest, the median and the greatest value.
    pub(crate) fn spread(&self) -> [f64; 3] {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let last = values.len().saturating_sub(1);
        [
            at(0),
            f64::midpoint(at(last / 2), at(values.len() / 2)),
            at(last),
        ]
    }

    pub(crate) fn median(&self) -> f64 {
        self.spread()[1]
    }

    /// What it is to another: the median of what it was in each round, because both share its
    /// conditions, while the machine is another one in the next.
    pub(crate) fn ratio_to(&self, other: &Self) -> f64 {
        if self.values.len() != other.values.len() {
            return self.median() / other.median();
        }
        let rounds = self.values.iter().zip(&other.values);
        let ratios = Self {
            values: rounds.map(|(own, other)| own / other).collect(),
            ..self.clone()
        };
        ratios.median()
    }

    /// How many times as good it is as another.
    pub(crate) fn advantage_over(&self, other: &Self) -> f64 {
        match self.unit {
            Unit::PerSecond | Unit::MebibytesPerSecond => self.ratio_to(other),
            _ => other.ratio_to(self),
        }
    }
}

/// What a value says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    Microseconds,
    Milliseconds,
    Seconds,
    PerSecond,
    MebibytesPerSecond,
    Kibibytes,
    Mebibytes,
    /// Millions of bytes.
    Megabytes,
    Count,
}

impl Unit {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Microseconds => "µs",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::PerSecond => "1/s",
            Self::MebibytesPerSecond => "MiB/s",
            Self::Kibibytes => "KiB",
            Self::Mebibytes => "MiB",
            Self::Megabytes => "MB",
            Self::Count => "",
        }
    }

    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::Count => format!("{value:.0}"),
            Self::PerSecond if value >= 10_000.0 => format!("{:.1}k", value / 1e3),
            _ if value < 10.0 => format!("{value:.2}"),
            _ if value < 100.0 => format!("{value:.1}"),
            _ => format!("{value:.0}"),
        }
    }
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
    fn rounds_are_compared_one_by_one() {
        // The machine had half of its speed in the second round.
        let (own, other) = (series(&[9.0, 5.0, 8.0]), series(&[10.0, 5.0, 8.0]));
        assert!((own.ratio_to(&other) - 1.0).abs() < 1e-9);
        assert!((own.ratio_to(&series(&[4.0])) - 2.0).abs() < 1e-9);
    }
}
