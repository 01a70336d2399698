//! Shortcuts that pay off nearly always.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What each use of the long way repays.
const REPAYMENT: Duration = Duration::from_micros(50);
/// What is owed at most, so that what once took very long may be done again.
const GREATEST: Duration = Duration::from_secs(1);

/// Time that others lost by a shortcut. It is taken again once it was repaid by those who went the long
/// way: so however often it goes wrong, it costs a repayment each on average.
pub(crate) struct Debt {
    /// In nanoseconds. Those who change it at the same time may cover up each other, which changes a
    /// decision at most.
    owed: AtomicU64,
}

impl Debt {
    /// One that so many repay.
    pub(crate) fn of(repayments: u32) -> Self {
        let owed = nanoseconds(REPAYMENT).saturating_mul(repayments.into());
        Self {
            owed: AtomicU64::new(owed),
        }
    }

    pub(crate) fn is_repaid(&self) -> bool {
        self.owed.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn add(&self, lost: Duration) {
        let owed = self.owed.load(Ordering::Relaxed);
        let owed = owed.saturating_add(nanoseconds(lost));
        let owed = owed.min(nanoseconds(GREATEST));
        self.owed.store(owed, Ordering::Relaxed);
    }

    /// Somebody went the long way.
    pub(crate) fn repay(&self) {
        let owed = self.owed.load(Ordering::Relaxed);
        if owed > 0 {
            let owed = owed.saturating_sub(nanoseconds(REPAYMENT));
            self.owed.store(owed, Ordering::Relaxed);
        }
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
        assert_eq!(left(&Debt::of(0)), 0);
        let debt = Debt::of(16);
        debt.add(REPAYMENT * 1000);
        assert_eq!(left(&debt), 1016);
        debt.add(Duration::from_nanos(1));
        assert_eq!(left(&debt), 1);
    }

    #[test]
    fn it_can_always_be_repaid() {
        let debt = Debt::of(u32::MAX);
        for _ in 0..1000 {
            debt.add(Duration::MAX);
        }
        assert_eq!(left(&debt), 20_000);
    }
}
