//! The Python package of this repository, next to the published Python SDK.

use super::case::Effort::{Longer, Minutes, Second};
use super::case::Target::{AtLeast, AtMost, Limit};
use super::case::{Case, Work, row};
use crate::measure::Contender::{Python, PythonPackage};
use crate::measure::Measure;
use crate::unit::Unit::{Mebibytes, Microseconds, Milliseconds, PerSecond};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "Python host under a Rust caller",
        contenders: &[PythonPackage, Python],
        effort: Second,
        work: Work::CallsFromRust {
            messages: 20_000,
            python_messages: 5_000,
            in_flight: 64,
        },
        rows: &[
            row("calls of a Python host from Rust, 64 in flight", PerSecond)
                .with_python(AtLeast(3.0, Python)),
        ],
    },
    Case {
        name: "sleeping handler in Python",
        contenders: &[PythonPackage, Python],
        effort: Longer,
        work: Work::Task {
            measure: Measure::Sleeping,
            messages: 50,
            python_messages: 50,
            in_flight: 50,
        },
        rows: &[row(
            "50 calls of a Python handler that sleeps 100 ms",
            Microseconds,
        )
        .with_python(Limit(250_000.0))],
    },
    Case {
        name: "import and connect in Python",
        contenders: &[PythonPackage, Python],
        effort: Second,
        work: Work::ImportAndConnect,
        rows: &[row("import and connect in Python", Milliseconds).with_python(AtMost(0.7, Python))],
    },
    Case {
        name: "memory of a Python caller",
        contenders: &[PythonPackage],
        effort: Minutes,
        work: Work::Task {
            measure: Measure::Memory,
            messages: 100_000,
            python_messages: 0,
            in_flight: 64,
        },
        rows: &[
            row("Python caller after 10,000 calls: memory", Mebibytes),
            row("Python caller after 100,000 more: memory", Mebibytes),
        ],
    },
];
