//! Calls.

use super::Effort::{Moment, While};
use super::Of::{Row as OfRow, Same};
use super::Target::{AtLeast, AtMost};
use super::{ALL_BUT_SERVICE, CALLED, Case, Work, row};
use crate::measure::Contender::{Ours, Python, RawWithHeaders};
use crate::measure::Measure;
use crate::report::Unit::{Microseconds, PerSecond};

/// A call of an agent that does nothing, which others are compared to.
pub(super) const CALL: &str = "call, p50";

const ORDER: &str = "call of a struct, p50";

pub(super) const CASES: &[Case] = &[
    Case {
        name: "call",
        contenders: CALLED,
        effort: Moment,
        work: Work::Task {
            measure: Measure::Latency,
            messages: 2_000,
            python_messages: 500,
            in_flight: 1,
        },
        rows: &[
            row(CALL, Microseconds, &[AtMost(1.10, Same(RawWithHeaders))]),
            row(
                "call, p99",
                Microseconds,
                &[AtMost(1.25, Same(RawWithHeaders))],
            ),
        ],
    },
    Case {
        name: "calls, 64 in flight",
        contenders: CALLED,
        effort: Moment,
        work: Work::Task {
            measure: Measure::Throughput,
            messages: 20_000,
            python_messages: 5_000,
            in_flight: 64,
        },
        rows: &[row(
            "calls, 64 in flight",
            PerSecond,
            &[
                AtLeast(0.90, Same(RawWithHeaders)),
                AtLeast(2.3, Same(Python)),
            ],
        )],
    },
    Case {
        name: "calls, 1,000 in flight",
        contenders: CALLED,
        effort: Moment,
        work: Work::Task {
            measure: Measure::Throughput,
            messages: 20_000,
            python_messages: 5_000,
            in_flight: 1_000,
        },
        rows: &[row(
            "calls, 1,000 in flight",
            PerSecond,
            &[AtLeast(0.90, Same(RawWithHeaders))],
        )],
    },
    Case {
        name: "calls of 100 KiB",
        contenders: CALLED,
        effort: Moment,
        work: Work::Task {
            measure: Measure::LargeThroughput,
            messages: 2_000,
            python_messages: 500,
            in_flight: 64,
        },
        rows: &[row(
            "calls of 100 KiB, 64 in flight",
            PerSecond,
            &[AtLeast(0.90, Same(RawWithHeaders))],
        )],
    },
    Case {
        name: "call by way of another agent",
        contenders: ALL_BUT_SERVICE,
        effort: Moment,
        work: Work::Task {
            measure: Measure::TwoHops,
            messages: 1_000,
            python_messages: 250,
            in_flight: 1,
        },
        rows: &[row(
            "call by way of another agent, p50",
            Microseconds,
            &[AtMost(2.1, OfRow(CALL, Ours))],
        )],
    },
    Case {
        name: "validation",
        contenders: &[Ours],
        effort: While,
        work: Work::Task {
            measure: Measure::Limits,
            messages: 4_000,
            python_messages: 0,
            in_flight: 1,
        },
        rows: &[
            row(ORDER, Microseconds, &[]),
            row(
                "call of a struct with ranges and lengths, p50",
                Microseconds,
                &[AtMost(1.05, OfRow(ORDER, Ours))],
            ),
        ],
    },
];
