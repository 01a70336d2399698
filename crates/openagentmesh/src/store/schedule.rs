//! The times at which a reader without a consumer looks for new messages of a bucket.

use std::time::Duration;

use tokio::time::Instant;

use crate::util::backoff::Backoff;

/// The bounds of the back-off between looks after a notice whose message is not stored yet.
const MIN_DELAY: Duration = Duration::from_millis(2);
const MAX_DELAY: Duration = Duration::from_millis(250);
/// The time in which the message of a notice is stored, or never.
const STORED_TIMEOUT: Duration = Duration::from_secs(2);
/// The interval of checks without a notice: the server may drop notices, and the bucket may be deleted.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// The notices whose messages were not found yet.
pub(crate) struct Schedule {
    /// The number of the notices, until the time at which they are given up.
    unmatched: u64,
    stored_until: Instant,
    backoff: Backoff,
}

impl Schedule {
    pub(crate) fn new() -> Self {
        Self {
            unmatched: 0,
            stored_until: Instant::now(),
            backoff: Backoff::new(MIN_DELAY, MAX_DELAY),
        }
    }

    /// Records `count` new notices, after which a look is due at once.
    pub(crate) fn noticed(&mut self, count: u64) {
        self.unmatched = self.unmatched.saturating_add(count);
        self.stored_until = Instant::now() + STORED_TIMEOUT;
        self.backoff.reset();
    }

    /// Records that a look has found `count` messages.
    pub(crate) fn found(&mut self, count: u64) {
        self.unmatched = self.unmatched.saturating_sub(count);
    }

    /// The time of the next look, after one that has found nothing further, and whether it is a check, which follows no
    /// notice.
    pub(crate) fn next_look(&mut self) -> (Instant, bool) {
        let now = Instant::now();
        let is_check = self.unmatched == 0 || now >= self.stored_until;
        if is_check {
            // The server has refused the writes, or a later one has replaced them.
            self.unmatched = 0;
            return (now + CHECK_INTERVAL, true);
        }
        (now + self.backoff.next_delay(), false)
    }
}
