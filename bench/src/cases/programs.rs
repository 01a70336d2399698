//! Programs: how soon they are there, and what it takes to build them.

use super::Effort::{Minutes, Moment};
use super::Of::{Same, Unit};
use super::Target::{AsFast, AtMost};
use super::{Case, Command, WITHOUT_HEADERS, Work, row};
use crate::measure::Contender::{Ours, Python, Raw};
use crate::report::Unit::{Megabytes, Milliseconds, Seconds};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "process start to callable",
        contenders: WITHOUT_HEADERS,
        effort: Moment,
        work: Work::Start,
        rows: &[row(
            "process start to callable",
            Milliseconds,
            &[AtMost(2.0, Same(Raw))],
        )],
    },
    Case {
        name: "oam --help",
        contenders: &[Ours, Python],
        effort: Moment,
        work: Work::Command(Command::Help),
        rows: &[row(
            "oam --help",
            Milliseconds,
            &[AsFast(30.0, Same(Python))],
        )],
    },
    Case {
        name: "oam mesh catalog",
        contenders: &[Ours, Python],
        effort: Moment,
        work: Work::Command(Command::Catalog),
        rows: &[row(
            "oam mesh catalog",
            Milliseconds,
            &[AsFast(8.0, Same(Python))],
        )],
    },
    Case {
        name: "build of an echo",
        contenders: &[Ours, Raw],
        effort: Minutes,
        work: Work::Build,
        rows: &[row(
            "clean release build of examples/echo.rs",
            Seconds,
            &[AtMost(90.0, Unit)],
        )],
    },
    Case {
        name: "size of oam",
        contenders: &[Ours],
        effort: Minutes,
        work: Work::Size,
        rows: &[row(
            "size of the program oam, stripped",
            Megabytes,
            &[AtMost(15.0, Unit)],
        )],
    },
];
