//! Shared values and files.

use super::Effort::{Minutes, Moment, While};
use super::Of::{Same, Unit};
use super::Target::{AsFast, AtLeast, AtMost};
use super::{Case, KEEPERS, Row, Target, WITHOUT_HEADERS, Work, row};
use crate::measure::Contender::{Ours, Raw};
use crate::measure::Measure;
use crate::report::Unit::{Mebibytes, MebibytesPerSecond, Microseconds, PerSecond};

const LIKE_RAW: &[Target] = &[AtLeast(0.95, Same(Raw))];

pub(super) const CASES: &[Case] = &[
    values(Measure::KvPut, 1, &[row("values put", PerSecond, LIKE_RAW)]),
    values(
        Measure::KvPut,
        32,
        &[row("values put, 32 at a time", PerSecond, LIKE_RAW)],
    ),
    values(Measure::KvGet, 1, &[row("values got", PerSecond, LIKE_RAW)]),
    values(
        Measure::KvGet,
        32,
        &[row("values got, 32 at a time", PerSecond, LIKE_RAW)],
    ),
    Case {
        name: "a value's way to a watch",
        contenders: KEEPERS,
        effort: Moment,
        work: Work::Task {
            measure: Measure::KvWatch,
            messages: 1_000,
            python_messages: 500,
            in_flight: 1,
        },
        rows: &[row(
            "a value's way to a watch, p50",
            Microseconds,
            &[AsFast(0.95, Same(Raw))],
        )],
    },
    Case {
        name: "64 MiB",
        contenders: WITHOUT_HEADERS,
        effort: While,
        work: Work::Content { mebibytes: 64 },
        rows: &[
            row("64 MiB put", MebibytesPerSecond, LIKE_RAW),
            row("64 MiB got", MebibytesPerSecond, LIKE_RAW),
        ],
    },
    Case {
        name: "1 GiB file",
        contenders: &[Ours, Raw],
        effort: Minutes,
        work: Work::File { mebibytes: 1024 },
        rows: &[
            row("1 GiB from a file", MebibytesPerSecond, LIKE_RAW),
            row("1 GiB from a file: memory", Mebibytes, FILE_MEMORY),
            row("1 GiB to a file", MebibytesPerSecond, LIKE_RAW),
            row("1 GiB to a file: memory", Mebibytes, FILE_MEMORY),
        ],
    },
];

const FILE_MEMORY: &[Target] = &[AtMost(64.0, Unit)];

const fn values(measure: Measure, in_flight: u32, rows: &'static [Row; 1]) -> Case {
    Case {
        name: rows[0].name,
        contenders: KEEPERS,
        effort: Moment,
        work: Work::Task {
            measure,
            messages: if in_flight == 1 { 1_500 } else { 8_000 },
            python_messages: 1_000,
            in_flight,
        },
        rows,
    }
}
