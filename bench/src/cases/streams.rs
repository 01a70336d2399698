//! Streams and events.

use super::case::Effort::{Longer, Second};
use super::case::Target::AtLeast;
use super::case::{ALL_BUT_SERVICE, Case, Target, Work, row};
use crate::measure::Contender::{Python, RawWithHeaders};
use crate::measure::Measure;
use crate::unit::Unit::{Microseconds, PerSecond};

const EVENTS: Target = AtLeast(0.75, RawWithHeaders);

pub(super) const CASES: &[Case] = &[
    Case {
        name: "chunks",
        contenders: ALL_BUT_SERVICE,
        effort: Second,
        work: Work::Task {
            measure: Measure::Chunks,
            messages: 48_000,
            python_messages: 2_000,
            in_flight: 1,
        },
        rows: &[row("chunks of a stream", PerSecond)
            .with(AtLeast(0.60, RawWithHeaders))
            .with_python(AtLeast(20.0, Python))],
    },
    Case {
        name: "first chunk",
        contenders: ALL_BUT_SERVICE,
        effort: Second,
        work: Work::Task {
            measure: Measure::FirstChunk,
            messages: 1_000,
            python_messages: 250,
            in_flight: 1,
        },
        rows: &[row("first chunk, p50", Microseconds)],
    },
    Case {
        name: "100 streams",
        contenders: ALL_BUT_SERVICE,
        effort: Second,
        work: Work::Task {
            measure: Measure::Chunks,
            messages: 48_000,
            python_messages: 5_000,
            in_flight: 100,
        },
        rows: &[row("chunks of 100 streams", PerSecond)],
    },
    Case {
        name: "events",
        contenders: ALL_BUT_SERVICE,
        effort: Second,
        work: Work::Task {
            measure: Measure::Events,
            messages: 48_000,
            python_messages: 20_000,
            in_flight: 1,
        },
        rows: &[row("events", PerSecond)
            .with(EVENTS)
            .with_python(AtLeast(5.0, Python))],
    },
    Case {
        name: "events for 8 subscribers",
        contenders: ALL_BUT_SERVICE,
        effort: Longer,
        work: Work::Task {
            measure: Measure::Events,
            messages: 24_000,
            python_messages: 4_000,
            in_flight: 8,
        },
        rows: &[row("events for 8 subscribers", PerSecond).with(EVENTS)],
    },
];
