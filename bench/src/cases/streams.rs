//! Streams and events.

use super::case::Effort::{Longer, Second};
use super::case::Target::{AtLeast, AtLeastOfRow, AtMost, Limit};
use super::case::{ALL_BUT_SERVICE, Case, Target, Work, row};
use crate::measure::Contender::{Ours, Python, PythonPackage, Raw, RawCall, RawWithHeaders};
use crate::measure::Measure;
use crate::unit::Unit::{Mebibytes, Microseconds, PerSecond};

const ONE_STREAM: &str = "chunks of a stream";

const EVENTS: Target = AtLeast(0.75, RawWithHeaders);

pub(super) const CASES: &[Case] = &[
    Case {
        name: "chunks",
        contenders: ALL_BUT_SERVICE,
        effort: Second,
        work: Work::Task {
            measure: Measure::Chunks,
            messages: 144_000,
            python_messages: 2_000,
            in_flight: 1,
        },
        rows: &[row(ONE_STREAM, PerSecond)
            .with(&[AtLeast(1.5, Raw), AtLeast(150.0, Python)])
            .with_python(AtLeast(20.0, Python))],
    },
    // Next to the case that it is compared to.
    Case {
        name: "100 streams",
        contenders: ALL_BUT_SERVICE,
        effort: Second,
        work: Work::Task {
            measure: Measure::Chunks,
            messages: 144_000,
            python_messages: 5_000,
            in_flight: 100,
        },
        rows: &[row("chunks of 100 streams", PerSecond).with(&[AtLeastOfRow(0.8, ONE_STREAM)])],
    },
    Case {
        name: "chunks of 16 B",
        contenders: ALL_BUT_SERVICE,
        effort: Second,
        work: Work::Task {
            measure: Measure::SmallChunks,
            messages: 144_000,
            python_messages: 2_000,
            in_flight: 1,
        },
        rows: &[row("chunks of 16 B", PerSecond)],
    },
    Case {
        name: "chunks of 16 KiB",
        contenders: ALL_BUT_SERVICE,
        effort: Second,
        work: Work::Task {
            measure: Measure::MediumChunks,
            messages: 12_000,
            python_messages: 1_000,
            in_flight: 1,
        },
        rows: &[row("chunks of 16 KiB", PerSecond)],
    },
    Case {
        name: "first chunk",
        contenders: &[Ours, RawWithHeaders, Raw, RawCall, PythonPackage, Python],
        effort: Second,
        work: Work::Task {
            measure: Measure::FirstChunk,
            messages: 1_000,
            python_messages: 250,
            in_flight: 1,
        },
        rows: &[row("first chunk, p50", Microseconds).with(&[AtMost(1.10, RawCall)])],
    },
    Case {
        name: "token stream",
        contenders: &[Ours],
        effort: Longer,
        work: Work::Task {
            measure: Measure::Tokens,
            messages: 1_000,
            python_messages: 0,
            in_flight: 1,
        },
        rows: &[
            row("token stream: latency of a chunk, p99", Microseconds),
            row("token stream: latency of a message, p99", Microseconds),
            row("token stream: added latency, p99", Microseconds).with(&[Limit(100.0)]),
        ],
    },
    Case {
        name: "stalled reader",
        contenders: &[Ours, Raw],
        effort: Longer,
        work: Work::StalledReader { megabytes: 200 },
        rows: &[row("stalled reader of 200 MB: memory", Mebibytes).with(&[Limit(16.0)])],
    },
    Case {
        name: "publish of 16 KiB",
        contenders: &[Ours, RawWithHeaders, Raw],
        effort: Second,
        work: Work::Task {
            measure: Measure::MediumPublish,
            messages: 10_000,
            python_messages: 0,
            in_flight: 1,
        },
        rows: &[row("publish of 16 KiB", PerSecond)],
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
            .with(&[EVENTS])
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
        rows: &[row("events for 8 subscribers", PerSecond).with(&[EVENTS])],
    },
];
