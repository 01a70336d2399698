//! The budget of retries of a process.

use tokio::time::Instant;

use super::sync::Mutex;

/// The tokens that each request with retries adds: at most a fifth of the requests are retried in the long run.
const TOKENS_PER_REQUEST: f64 = 0.2;
/// The number of tokens at the start, up to which time adds tokens.
const RESERVED_TOKENS: f64 = 10.0;
/// The tokens that a second adds, up to the reserve.
const TOKENS_PER_SECOND: f64 = 1.0;
/// The maximum number of tokens.
const MAX_TOKENS: f64 = 100.0;

/// The budget of retries of a process: a token bucket. Each retry takes a token, so that retries cannot multiply the
/// requests to agents that are down.
pub(crate) struct RetryBudget(Mutex<Tokens>);

struct Tokens {
    available: f64,
    /// The time up to which the tokens of the reserve are added.
    refilled: Instant,
}

impl RetryBudget {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Tokens {
            available: RESERVED_TOKENS,
            refilled: Instant::now(),
        }))
    }

    /// Adds the share of one request.
    pub(crate) fn deposit(&self) {
        let mut tokens = self.0.lock();
        tokens.available = (tokens.available + TOKENS_PER_REQUEST).min(MAX_TOKENS);
    }

    /// Takes the token of one retry. Returns whether there was one.
    pub(crate) fn try_withdraw(&self) -> bool {
        let mut tokens = self.0.lock();
        tokens.refill(Instant::now());
        let has_token = tokens.available >= 1.0;
        if has_token {
            tokens.available -= 1.0;
        }
        has_token
    }
}

impl Tokens {
    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.refilled);
        self.refilled = now;
        let missing = (RESERVED_TOKENS - self.available).max(0.0);
        self.available += (elapsed.as_secs_f64() * TOKENS_PER_SECOND).min(missing);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn withdrawn(budget: &RetryBudget) -> usize {
        (0..1000).take_while(|_| budget.try_withdraw()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn budget_grows_with_requests_and_refills_its_reserve_with_time() {
        let budget = RetryBudget::new();
        assert_eq!(withdrawn(&budget), 10);
        (0..51).for_each(|_| budget.deposit());
        assert_eq!(withdrawn(&budget), 10);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(withdrawn(&budget), 10);
        (0..10_000).for_each(|_| budget.deposit());
        assert_eq!(withdrawn(&budget), 100);
    }
}
