//! When missing probes count.

use std::time::Duration;

use tokio::time::Instant;

/// The interval at which the requests are checked for missing probes.
pub(super) const SWEEP_INTERVAL: Duration = Duration::from_millis(250);
/// The time without a probe after which a host counts as dead: three intervals of probes, and slack. With the next sweep,
/// a frozen host is noticed within 6 s.
pub(super) const SILENCE_TIMEOUT: Duration = Duration::from_millis(3 * 1800 + 200);
/// The delay of a sweep from which on this process counts as frozen in the meantime.
const MAX_DELAY: Duration = Duration::from_secs(1);
/// The further time after a reconnection in which hosts reconnect, too: the longest back-off of a connection.
const HOST_RECONNECT_TIME: Duration = Duration::from_secs(4);

/// Notices gaps in which this process could not receive probes.
pub(super) struct Sweep {
    last: Instant,
    connection: Incarnation,
}

/// The state of the connection at one sweep. Changes with each loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Incarnation {
    pub(super) is_up: bool,
    /// The count of reconnections, and the epoch of the client.
    pub(super) counts: (u64, u64),
}

impl Sweep {
    pub(super) fn start(connection: Incarnation) -> Self {
        Self {
            last: Instant::now(),
            connection,
        }
    }

    /// The time from which on missing probes count again, if probes may have been missed since the last sweep.
    pub(super) fn gap(&mut self, now: Instant, connection: Incarnation) -> Option<Instant> {
        let since = now.saturating_duration_since(std::mem::replace(&mut self.last, now));
        let before = std::mem::replace(&mut self.connection, connection);
        if !connection.is_up || before != connection {
            return Some(now + HOST_RECONNECT_TIME);
        }
        (since >= SWEEP_INTERVAL + MAX_DELAY).then_some(now)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const UP: Incarnation = Incarnation {
        is_up: true,
        counts: (0, 0),
    };
    const DOWN: Incarnation = Incarnation {
        is_up: false,
        counts: (0, 0),
    };
    const UP_AGAIN: Incarnation = Incarnation {
        is_up: true,
        counts: (1, 0),
    };

    #[tokio::test(start_paused = true)]
    async fn sweep_without_delay_has_no_gap() {
        let mut sweep = Sweep::start(UP);
        for _ in 0..100 {
            advance(SWEEP_INTERVAL + MAX_DELAY / 2).await;
            assert_eq!(sweep.gap(Instant::now(), UP), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn frozen_process_counts_from_its_wake_up() {
        let mut sweep = Sweep::start(UP);
        advance(Duration::from_secs(3600)).await;
        let now = Instant::now();
        assert_eq!(sweep.gap(now, UP), Some(now));
        advance(SWEEP_INTERVAL).await;
        assert_eq!(sweep.gap(Instant::now(), UP), None);
    }

    #[tokio::test(start_paused = true)]
    async fn lost_connection_counts_from_the_time_at_which_hosts_are_back() {
        let mut sweep = Sweep::start(UP);
        for connection in [DOWN, DOWN, UP_AGAIN] {
            advance(SWEEP_INTERVAL).await;
            let now = Instant::now();
            assert_eq!(sweep.gap(now, connection), Some(now + HOST_RECONNECT_TIME));
        }
        advance(SWEEP_INTERVAL).await;
        assert_eq!(sweep.gap(Instant::now(), UP_AGAIN), None);
    }

    #[tokio::test(start_paused = true)]
    async fn connection_that_was_lost_and_restored_between_sweeps_has_a_gap() {
        let mut sweep = Sweep::start(UP);
        advance(SWEEP_INTERVAL).await;
        assert!(sweep.gap(Instant::now(), UP_AGAIN).is_some());
    }
}
