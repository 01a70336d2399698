//! Many agents: registering them, finding them, having them.

use super::Effort::{Moment, While};
use super::Of::{Row as OfRow, Same, Unit};
use super::Target::{AsFast, AtMost};
use super::{Case, WITHOUT_HEADERS, Work, row};
use crate::measure::Contender::{Ours, Python, Raw};
use crate::report::Unit::{Count, Kibibytes, Mebibytes, Microseconds, Milliseconds};

const FEW_BY_ONE: &str = "125 agents by one process";

pub(super) const CASES: &[Case] = &[
    Case {
        name: "register 125 agents",
        contenders: WITHOUT_HEADERS,
        effort: While,
        work: Work::Register { agents: 125 },
        rows: &[row(FEW_BY_ONE, Milliseconds, &[])],
    },
    Case {
        name: "register 1,000 agents",
        contenders: WITHOUT_HEADERS,
        effort: While,
        work: Work::Register { agents: 1_000 },
        rows: &[row(
            "1,000 agents by one process",
            Milliseconds,
            &[AsFast(15.0, Same(Python))],
        )],
    },
    Case {
        name: "register by 8 processes",
        contenders: &[Ours, Python],
        effort: While,
        work: Work::RegisterTogether {
            agents: 1_000,
            processes: 8,
        },
        rows: &[
            row(
                "1,000 agents by 8 processes",
                Milliseconds,
                &[AsFast(1.0, OfRow(FEW_BY_ONE, Python))],
            ),
            row(
                "1,000 agents by 8 processes: not listed",
                Count,
                &[AtMost(0.0, Unit)],
            ),
        ],
    },
    Case {
        name: "one more beside 5,000 agents",
        contenders: &[Ours, Python],
        effort: While,
        work: Work::RegisterOneMore { crowd: 5_000 },
        rows: &[
            row("joining 5,000 agents: received", Kibibytes, &[]),
            row("one more beside 5,000 agents", Milliseconds, &[]),
            row("one more: sent", Kibibytes, &[]),
            row("one more: received", Kibibytes, &[]),
            row("one more: messages sent", Count, &[]),
            row("its next beside 5,000 agents", Milliseconds, &[]),
            row("its next: sent", Kibibytes, &[]),
            row("its next: received", Kibibytes, &[]),
            row("its next: messages sent", Count, &[]),
        ],
    },
    Case {
        name: "connect to 1,000 agents",
        contenders: WITHOUT_HEADERS,
        effort: Moment,
        work: Work::Connect { crowd: 1_000 },
        rows: &[
            row("connect to a mesh of 1,000 agents", Milliseconds, &[]),
            row(
                "connect, and know its catalog",
                Milliseconds,
                &[AtMost(1.5, Same(Raw))],
            ),
        ],
    },
    Case {
        name: "catalog of 1,000 agents",
        contenders: &[Ours, Python],
        effort: Moment,
        work: Work::Catalog { crowd: 1_000 },
        rows: &[row(
            "catalog(), 10 of 1,000 agents",
            Microseconds,
            &[AtMost(20.0, Unit)],
        )],
    },
    Case {
        name: "allocations of the catalog",
        contenders: &[Ours],
        effort: Moment,
        work: Work::CatalogAllocations { crowd: 1_000 },
        rows: &[
            row("catalog(), 10 of 1,000 agents: allocations", Count, &[]),
            row(
                "catalog(), none of 1,000 agents: allocations",
                Count,
                &[AtMost(8.0, Unit)],
            ),
        ],
    },
    Case {
        name: "idle host of 10 agents",
        contenders: WITHOUT_HEADERS,
        effort: While,
        work: Work::Idle { agents: 10 },
        rows: &[row(
            "idle host of 10 agents: memory",
            Mebibytes,
            &[AtMost(10.0, Unit)],
        )],
    },
    Case {
        name: "idle host of 1,000 agents",
        contenders: WITHOUT_HEADERS,
        effort: While,
        work: Work::Idle { agents: 1_000 },
        rows: &[row(
            "idle host of 1,000 agents: memory",
            Mebibytes,
            &[AtMost(25.0, Unit)],
        )],
    },
];
