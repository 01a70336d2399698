//! Calls.

use super::case::Effort::{Longer, Second};
use super::case::Target::{AtLeast, AtMost, AtMostOfRow};
use super::case::{ALL, ALL_BUT_SERVICE, Case, Work, row};
use crate::measure::Contender::{Ours, Python, RawWithHeaders};
use crate::measure::Measure;
use crate::unit::Unit::{Microseconds, PerSecond};

const UNATTACKED: &str = "call without an attacker, p99";

pub(super) const CASES: &[Case] = &[
    Case {
        name: "call",
        contenders: ALL,
        effort: Second,
        work: Work::Task {
            measure: Measure::Latency,
            messages: 2_000,
            python_messages: 500,
            in_flight: 1,
        },
        rows: &[
            row("call, p50", Microseconds)
                .with(&[AtMost(1.10, RawWithHeaders)])
                .with_python(AtMost(0.8, Python)),
            row("call, p99", Microseconds),
        ],
    },
    Case {
        name: "call of 16 B",
        contenders: ALL,
        effort: Second,
        work: Work::Task {
            measure: Measure::SmallLatency,
            messages: 2_000,
            python_messages: 500,
            in_flight: 1,
        },
        rows: &[row("call of 16 B, p50", Microseconds)],
    },
    Case {
        name: "call of 16 KiB",
        contenders: ALL,
        effort: Second,
        work: Work::Task {
            measure: Measure::MediumLatency,
            messages: 2_000,
            python_messages: 500,
            in_flight: 1,
        },
        rows: &[row("call of 16 KiB, p50", Microseconds)],
    },
    Case {
        name: "calls, 64 in flight",
        contenders: ALL,
        effort: Second,
        work: Work::Task {
            measure: Measure::Throughput,
            messages: 20_000,
            python_messages: 5_000,
            in_flight: 64,
        },
        rows: &[row("calls, 64 in flight", PerSecond)
            .with(&[AtLeast(0.85, RawWithHeaders)])
            .with_python(AtLeast(2.5, Python))],
    },
    Case {
        name: "calls, 1,000 in flight",
        contenders: ALL,
        effort: Second,
        work: Work::Task {
            measure: Measure::Throughput,
            messages: 20_000,
            python_messages: 5_000,
            in_flight: 1_000,
        },
        rows: &[row("calls, 1,000 in flight", PerSecond).with(&[AtLeast(0.85, RawWithHeaders)])],
    },
    Case {
        name: "calls of 100 KiB",
        contenders: ALL,
        effort: Second,
        work: Work::Task {
            measure: Measure::LargeThroughput,
            messages: 2_000,
            python_messages: 500,
            in_flight: 64,
        },
        rows: &[row("calls of 100 KiB, 64 in flight", PerSecond)],
    },
    Case {
        name: "call via another agent",
        contenders: ALL_BUT_SERVICE,
        effort: Second,
        work: Work::Task {
            measure: Measure::TwoHops,
            messages: 1_000,
            python_messages: 250,
            in_flight: 1,
        },
        rows: &[row("call via another agent, p50", Microseconds)],
    },
    Case {
        name: "attacked calls",
        contenders: &[Ours, RawWithHeaders],
        effort: Longer,
        work: Work::Attacked {
            calls: 2_000,
            // 20,000 messages in 20 s, and the 133,500 of the flood test in a minute.
            rates: &[1_000, 2_225],
        },
        rows: &[
            row(UNATTACKED, Microseconds),
            row("call, 1,000 malformed requests a second, p99", Microseconds)
                .with(&[AtMostOfRow(2.0, UNATTACKED)]),
            row("call, 2,225 malformed requests a second, p99", Microseconds)
                .with(&[AtMostOfRow(3.0, UNATTACKED)]),
            row("call, a flood of malformed requests, p99", Microseconds),
        ],
    },
    Case {
        name: "validation",
        contenders: &[Ours],
        effort: Longer,
        work: Work::Task {
            measure: Measure::Limits,
            messages: 4_000,
            python_messages: 0,
            in_flight: 1,
        },
        rows: &[
            row("call of a struct, p50", Microseconds),
            row(
                "call of a struct with ranges and lengths, p50",
                Microseconds,
            ),
        ],
    },
];
