//! The units of measured values.

use serde::{Deserialize, Serialize};

/// The unit of a row's values.
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
    /// 10^6 bytes.
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
            _ if value.abs() < 10.0 => format!("{value:.2}"),
            _ if value.abs() < 100.0 => format!("{value:.1}"),
            _ => format!("{value:.0}"),
        }
    }
}
