//! Streams and events.

use super::Effort::{Moment, While};
use super::Of::{Row as OfRow, Same};
use super::Target::{AtLeast, AtMost};
use super::calls::CALL;
use super::{ALL_BUT_SERVICE, Case, Work, row};
use crate::measure::Contender::{Ours, Python, RawWithHeaders};
use crate::measure::Measure;
use crate::report::Unit::{Microseconds, PerSecond};

const CHUNKS: &str = "chunks of a stream";

pub(super) const CASES: &[Case] = &[
    Case {
        name: "chunks",
        contenders: ALL_BUT_SERVICE,
        effort: Moment,
        work: Work::Task {
            measure: Measure::Chunks,
            messages: 48_000,
            python_messages: 2_000,
            in_flight: 1,
        },
        rows: &[row(
            CHUNKS,
            PerSecond,
            &[
                AtLeast(0.80, Same(RawWithHeaders)),
                AtLeast(30.0, Same(Python)),
            ],
        )],
    },
    Case {
        name: "first chunk",
        contenders: ALL_BUT_SERVICE,
        effort: Moment,
        work: Work::Task {
            measure: Measure::FirstChunk,
            messages: 1_000,
            python_messages: 250,
            in_flight: 1,
        },
        rows: &[row(
            "first chunk, p50",
            Microseconds,
            &[AtMost(1.10, OfRow(CALL, RawWithHeaders))],
        )],
    },
    Case {
        name: "100 streams",
        contenders: ALL_BUT_SERVICE,
        effort: Moment,
        work: Work::Task {
            measure: Measure::Chunks,
            messages: 48_000,
            python_messages: 5_000,
            in_flight: 100,
        },
        rows: &[row(
            "chunks of 100 streams",
            PerSecond,
            &[AtLeast(0.80, OfRow(CHUNKS, Ours))],
        )],
    },
    Case {
        name: "events",
        contenders: ALL_BUT_SERVICE,
        effort: Moment,
        work: Work::Task {
            measure: Measure::Events,
            messages: 48_000,
            python_messages: 20_000,
            in_flight: 1,
        },
        rows: &[row(
            "events",
            PerSecond,
            &[AtLeast(0.85, Same(RawWithHeaders))],
        )],
    },
    Case {
        name: "events for 8 subscribers",
        contenders: ALL_BUT_SERVICE,
        effort: While,
        work: Work::Task {
            measure: Measure::Events,
            messages: 24_000,
            python_messages: 4_000,
            in_flight: 8,
        },
        rows: &[row(
            "events for 8 subscribers",
            PerSecond,
            &[AtLeast(0.85, Same(RawWithHeaders))],
        )],
    },
];
