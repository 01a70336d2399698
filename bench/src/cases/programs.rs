//! Programs: start, build time, size.

use super::case::Effort::{Minutes, Second};
use super::case::Target::Limit;
use super::case::{Case, Command, WITHOUT_HEADERS, Work, row};
use crate::measure::Contender::{Ours, Python, Raw};
use crate::unit::Unit::{Megabytes, Milliseconds, Seconds};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "process start to callable",
        contenders: WITHOUT_HEADERS,
        effort: Second,
        work: Work::Start,
        rows: &[row("process start to callable", Milliseconds)],
    },
    Case {
        name: "oam --help",
        contenders: &[Ours, Python],
        effort: Second,
        work: Work::Command(Command::Help),
        rows: &[row("oam --help", Milliseconds).with(&[Limit(5.0)])],
    },
    Case {
        name: "oam mesh catalog",
        contenders: &[Ours, Python],
        effort: Second,
        work: Work::Command(Command::Catalog),
        rows: &[row("oam mesh catalog", Milliseconds)],
    },
    Case {
        name: "oam mesh catalog of 1,000 agents",
        contenders: &[Ours, Python],
        effort: Second,
        work: Work::Command(Command::CatalogOf(1_000)),
        rows: &[row("oam mesh catalog of 1,000 agents", Milliseconds).with(&[Limit(20.0)])],
    },
    Case {
        name: "build of an echo",
        contenders: &[Ours, Raw],
        effort: Minutes,
        work: Work::Build,
        rows: &[row("clean release build of examples/echo.rs", Seconds)],
    },
    Case {
        name: "size of oam",
        contenders: &[Ours],
        effort: Minutes,
        work: Work::Size,
        rows: &[row("size of the program oam, stripped", Megabytes).with(&[Limit(18.0)])],
    },
];
