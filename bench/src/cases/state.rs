//! Shared values and files.

use super::case::Effort::{Longer, Minutes, Second};
use super::case::Target::{AsFast, AtLeast};
use super::case::{Case, KEY_VALUE, Row, Target, WITHOUT_HEADERS, Work, row};
use crate::measure::Contender::{Ours, Python, Raw, RawSameBucket};
use crate::measure::Measure;
use crate::unit::Unit::{Mebibytes, MebibytesPerSecond, Microseconds, PerSecond};

const VALUES: Target = AtLeast(0.95, RawSameBucket);

/// The bare client uses the object-store bucket of this SDK.
const FILES: Target = AtLeast(0.95, Raw);

pub(super) const CASES: &[Case] = &[
    values(
        Measure::KvPut,
        1,
        &[row("values put", PerSecond).with(&[VALUES])],
    ),
    values(
        Measure::KvPut,
        32,
        &[row("values put, 32 at a time", PerSecond).with(&[VALUES])],
    ),
    values(
        Measure::KvGet,
        1,
        &[row("values read", PerSecond).with(&[VALUES])],
    ),
    values(
        Measure::KvGet,
        32,
        &[row("values read, 32 at a time", PerSecond).with(&[VALUES])],
    ),
    Case {
        name: "put to watch",
        contenders: KEY_VALUE,
        effort: Second,
        work: Work::Task {
            measure: Measure::KvWatch,
            messages: 1_000,
            python_messages: 500,
            in_flight: 1,
        },
        rows: &[row("put to watch, p50", Microseconds).with(&[AsFast(0.95, RawSameBucket)])],
    },
    Case {
        name: "64 MiB",
        contenders: WITHOUT_HEADERS,
        effort: Longer,
        work: Work::Content { mebibytes: 64 },
        rows: &[
            row("64 MiB put", MebibytesPerSecond).with(&[FILES]),
            row("64 MiB read", MebibytesPerSecond)
                .with(&[FILES])
                .with_python(AtLeast(40.0, Python)),
        ],
    },
    Case {
        name: "1 GiB file",
        contenders: &[Ours, Raw],
        effort: Minutes,
        work: Work::File { mebibytes: 1024 },
        rows: &[
            row("1 GiB from a file", MebibytesPerSecond).with(&[FILES]),
            row("1 GiB from a file: memory", Mebibytes),
            row("1 GiB to a file", MebibytesPerSecond).with(&[FILES]),
            row("1 GiB to a file: memory", Mebibytes),
        ],
    },
];

const fn values(measure: Measure, in_flight: u32, rows: &'static [Row; 1]) -> Case {
    Case {
        name: rows[0].name,
        contenders: KEY_VALUE,
        effort: Second,
        work: Work::Task {
            measure,
            messages: if in_flight == 1 { 1_500 } else { 8_000 },
            python_messages: 1_000,
            in_flight,
        },
        rows,
    }
}
