//! Exponential back-off with jitter.

use std::time::Duration;

use rand::RngExt;

/// The delays between attempts: each is twice as long as the one before, up to a limit.
///
/// Every delay is shortened by a random part of up to its half, so that processes that failed together do
/// not try again together.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// A back-off whose delays grow from `first` to `max`.
    pub(crate) const fn new(first: Duration, max: Duration) -> Self {
        Self {
            first,
            max,
            next: first,
        }
    }

    /// The delay before the next attempt.
    pub(crate) fn next_delay(&mut self) -> Duration {
        self.next_delay_with(&mut rand::rng())
    }

    /// As [`next_delay`](Self::next_delay), with the random part from `rng`.
    pub(crate) fn next_delay_with(&mut self, rng: &mut impl RngExt) -> Duration {
        let delay = self.next;
        self.next = delay.saturating_mul(2).min(self.max);
        delay.mul_f64(rng.random_range(0.5..=1.0))
    }

    /// Starts again with the first delay: the last attempt succeeded.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_limit_and_start_again_after_a_reset() {
        let (first, max) = (Duration::from_millis(100), Duration::from_millis(350));
        let mut backoff = Backoff::new(first, max);
        for expected in [100, 200, 350, 350].map(Duration::from_millis) {
            let delay = backoff.next_delay();
            assert!(
                delay >= expected / 2 && delay <= expected,
                "{delay:?} for {expected:?}"
            );
        }
        backoff.reset();
        assert!(backoff.next_delay() <= first);
    }
}
