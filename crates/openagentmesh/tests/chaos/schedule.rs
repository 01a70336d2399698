//! The disturbances of a run, all made from one seed.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// The number of host processes.
pub(crate) const HOSTS: usize = 3;

/// A disturbance of a host process.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Disturbance {
    /// `SIGKILL`, and a new process after `down`.
    Kill { down: Duration },
    /// `SIGSTOP`, and `SIGCONT` after `frozen`.
    Freeze { frozen: Duration },
    /// `SIGSTOP`, `SIGKILL` after `frozen`, and a new process after `down`.
    KillFrozen { frozen: Duration, down: Duration },
    /// `SIGTERM`, and a new process when the old one has ended.
    Restart,
    /// A new process, and `SIGTERM` for the old one 500 ms later.
    Replace,
}

/// A restart of the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outage {
    pub(crate) at: Duration,
    pub(crate) down: Duration,
    /// `SIGKILL` in place of `SIGTERM`.
    pub(crate) is_killed: bool,
    pub(crate) keeps_store: bool,
}

#[derive(Debug)]
pub(crate) struct Schedule {
    /// The disturbances of each host, with their times since the start, in order.
    pub(crate) hosts: [Vec<(Duration, Disturbance)>; HOSTS],
    pub(crate) outages: [Outage; 3],
}

impl Schedule {
    pub(crate) fn new(seed: u64, duration: Duration) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let hosts = std::array::from_fn(|_| disturbances(&mut random, duration));
        let without_store = random.random_range(0..3);
        let outages = std::array::from_fn(|index| {
            let middle = 0.22 + 0.25 * index as f64;
            Outage {
                at: duration.mul_f64(middle + random.random_range(-0.06..0.06)),
                down: milliseconds(&mut random, 200, 4000),
                is_killed: random.random_bool(0.5),
                keeps_store: index != without_store,
            }
        });
        Self { hosts, outages }
    }
}

fn disturbances(random: &mut SmallRng, duration: Duration) -> Vec<(Duration, Disturbance)> {
    let mut all = Vec::new();
    let mut at = milliseconds(random, 2000, 8000);
    while at < duration.mul_f64(0.9) {
        let down = milliseconds(random, 100, 6000);
        let frozen = milliseconds(random, 200, 10_000);
        let (disturbance, takes) = match random.random_range(0..100) {
            0..30 => (Disturbance::Kill { down }, down),
            30..60 => (Disturbance::Freeze { frozen }, frozen),
            60..70 => (Disturbance::KillFrozen { frozen, down }, frozen + down),
            70..85 => (Disturbance::Restart, Duration::from_secs(2)),
            _ => (Disturbance::Replace, Duration::from_secs(2)),
        };
        all.push((at, disturbance));
        at += takes + milliseconds(random, 1000, 7000);
    }
    all
}

fn milliseconds(random: &mut SmallRng, from: u64, to: u64) -> Duration {
    Duration::from_millis(random.random_range(from..to))
}
