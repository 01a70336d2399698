//! Many agents: registering them, finding them, serving them.

use super::case::Effort::{Longer, Once, Second};
use super::case::Target::{AtMost, Limit};
use super::case::{Case, WITHOUT_HEADERS, Work, row};
use crate::measure::Contender::{Ours, Python, Raw};
use crate::unit::Unit::{Count, Kibibytes, Mebibytes, Microseconds, Milliseconds};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "register 125 agents",
        contenders: WITHOUT_HEADERS,
        effort: Longer,
        work: Work::Register { agents: 125 },
        rows: &[row("125 agents by one process", Milliseconds)],
    },
    Case {
        name: "register 1,000 agents",
        contenders: WITHOUT_HEADERS,
        effort: Longer,
        work: Work::Register { agents: 1_000 },
        rows: &[row("1,000 agents by one process", Milliseconds)],
    },
    Case {
        name: "register by 8 processes",
        contenders: &[Ours, Python],
        effort: Longer,
        work: Work::RegisterTogether {
            agents: 1_000,
            processes: 8,
        },
        rows: &[
            row("1,000 agents by 8 processes", Milliseconds),
            row("1,000 agents by 8 processes: not listed", Count),
        ],
    },
    Case {
        name: "one more than 5,000 agents",
        contenders: &[Ours, Python],
        effort: Longer,
        work: Work::RegisterOneMore { agents: 5_000 },
        rows: &[
            row("joining 5,000 agents: received", Kibibytes),
            row("one more than 5,000 agents", Milliseconds),
            row("one more: sent", Kibibytes),
            row("one more: received", Kibibytes),
            row("one more: messages sent", Count),
            row("the next of the same process", Milliseconds),
            row("the next: sent", Kibibytes),
            row("the next: received", Kibibytes),
            row("the next: messages sent", Count),
        ],
    },
    Case {
        name: "a follower of 5,000 agents",
        contenders: &[Ours, Raw, Python],
        effort: Longer,
        work: Work::FollowOneMore { agents: 5_000 },
        rows: &[row("one more than 5,000: received by a follower", Kibibytes).with(&[Limit(1.0)])],
    },
    Case {
        name: "1,000 followers",
        contenders: &[Ours, Raw],
        effort: Once,
        work: Work::FollowMany {
            followers: 1_000,
            registrations: 1_000,
        },
        rows: &[
            row("1,000 registrations: sent to 1,000 followers", Mebibytes)
                .with(&[AtMost(0.02, Raw)]),
            row("1,000 followers: until the last knows", Milliseconds),
        ],
    },
    Case {
        name: "connect to 1,000 agents",
        contenders: WITHOUT_HEADERS,
        effort: Second,
        work: Work::Connect { agents: 1_000 },
        rows: &[
            row("connect to a mesh of 1,000 agents", Milliseconds),
            row("connect and fetch the catalog", Milliseconds),
        ],
    },
    Case {
        name: "catalog of 1,000 agents",
        contenders: &[Ours, Python],
        effort: Second,
        work: Work::Catalog { agents: 1_000 },
        rows: &[row("catalog(), 10 of 1,000 agents", Microseconds)],
    },
    Case {
        name: "allocations of the catalog",
        contenders: &[Ours],
        effort: Second,
        work: Work::CatalogAllocations { agents: 1_000 },
        rows: &[
            row("catalog(), 10 of 1,000 agents: allocations", Count),
            row("catalog(), none of 1,000 agents: allocations", Count),
        ],
    },
    Case {
        name: "idle host of 10 agents",
        contenders: WITHOUT_HEADERS,
        effort: Longer,
        work: Work::Idle { agents: 10 },
        rows: &[row("idle host of 10 agents: memory", Mebibytes)],
    },
    Case {
        name: "idle host of 1,000 agents",
        contenders: WITHOUT_HEADERS,
        effort: Longer,
        work: Work::Idle { agents: 1_000 },
        rows: &[row("idle host of 1,000 agents: memory", Mebibytes).with(&[Limit(30.0)])],
    },
];
