//! The kit against participants that follow all rules, and against ones that break a rule each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod caller;
mod faulty_callers;
mod faulty_hosts;
mod host;
mod lists;
mod own;
mod page;
mod support;
