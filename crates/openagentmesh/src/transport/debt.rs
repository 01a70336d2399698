//! Shortcuts that pay off nearly always.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// What each one that goes the long way repays.
const REPAYMENT: Duration = Duration::from_micros(50);
/// What is owed at most, so that what once took very long may be done again.
const GREATEST: Duration = Duration::from_secs(1);
/// For how long the system takes a thread away at once, or nearly always does.
const SLICE: Duration = Duration::from_millis(5);
/// How many failures are excused in a row.
const EXCUSES: u32 = 4;

/// Time that others lost by a shortcut. It is taken again once that is repaid by those who go the long
/// way: so however often it fails, it costs each a repayment on average.
///
/// On a busy machine the system takes threads away, and that cannot be told from a failure. So few failures
/// among many successes are excused if they took no longer than the system does: what fails by itself does
/// so more often.
pub(crate) struct Debt {
    /// In nanoseconds.
    owed: AtomicU64,
    /// Successes that excuse failures.
    successes: AtomicU32,
    /// How many successes excuse one.
    per_excuse: u32,
}

impl Debt {
    /// One that so many repay. So many successes excuse a failure.
    pub(crate) fn new(repayments: u32, per_excuse: u32) -> Self {
        let owed = nanoseconds(REPAYMENT).saturating_mul(repayments.into());
        Self {
            owed: AtomicU64::new(owed),
            successes: AtomicU32::new(0),
            per_excuse,
        }
    }

    /// Whether the shortcut may be taken.
    pub(crate) fn is_repaid(&self) -> bool {
        self.owed.load(Ordering::Relaxed) == 0
    }

    /// Somebody went the long way.
    pub(crate) fn repay(&self) {
        if !self.is_repaid() {
            self.change(|owed| owed.saturating_sub(nanoseconds(REPAYMENT)));
        }
    }

    /// All went well.
    pub(crate) fn succeed(&self) {
        // Those who change it at the same time may cover up each other, which excuses one more or less.
        let successes = self.successes.load(Ordering::Relaxed);
        if successes < self.per_excuse * EXCUSES {
            self.successes.store(successes + 1, Ordering::Relaxed);
        }
    }

    /// It took so long, and others lost so much by it.
    pub(crate) fn fail(&self, took: Duration, lost: Duration) {
        let successes = self.successes.load(Ordering::Relaxed);
        if took <= SLICE && successes >= self.per_excuse {
            self.successes
                .store(successes - self.per_excuse, Ordering::Relaxed);
            return;
        }
        let greatest = nanoseconds(GREATEST);
        self.change(|owed| owed.saturating_add(nanoseconds(lost)).min(greatest));
    }

    fn change(&self, change: impl Fn(u64) -> u64) {
        let changed = |owed| Some(change(owed));
        // It always changes.
        let _ = self
            .owed
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, changed);
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many repayments are left.
    fn left(debt: &Debt) -> u32 {
        let mut repayments = 0;
        while !debt.is_repaid() {
            debt.repay();
            repayments += 1;
        }
        repayments
    }

    #[test]
    fn it_is_repaid_little_by_little() {
        let debt = Debt::new(16, 1);
        debt.fail(SLICE, REPAYMENT * 1000);
        assert_eq!(left(&debt), 1016);
        debt.fail(SLICE, Duration::from_nanos(1));
        assert_eq!(left(&debt), 1);
    }

    #[test]
    fn it_can_always_be_repaid() {
        let debt = Debt::new(u32::MAX, 1);
        for _ in 0..1000 {
            debt.fail(SLICE, Duration::MAX);
        }
        assert_eq!(left(&debt), 20_000);
    }

    #[test]
    fn few_failures_are_excused() {
        let debt = Debt::new(0, 10);
        for _ in 0..10 {
            debt.succeed();
        }
        debt.fail(SLICE, SLICE);
        assert!(debt.is_repaid(), "the system did that");
        debt.fail(SLICE, SLICE);
        assert_eq!(left(&debt), 100);

        for _ in 0..1000 {
            debt.succeed();
        }
        debt.fail(SLICE * 2, SLICE * 2);
        assert_eq!(left(&debt), 200, "the system takes no thread for so long");
        for _ in 0..EXCUSES {
            debt.fail(SLICE, SLICE);
        }
        assert!(debt.is_repaid());
        debt.fail(SLICE, SLICE);
        assert_eq!(left(&debt), 100);
    }
}
