//! How long records have been unchanged, by the monitor's own clock.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// The revisions of keys, and since when each is unchanged.
///
/// Clocks of other processes are not compared. A monitor that did not look for a while, because it was frozen or the
/// server did not answer, starts to observe again: processes could not renew their leases either.
pub(crate) struct Observations<K> {
    seen: HashMap<K, Seen>,
    last: Option<Instant>,
    /// The longest time between two looks that belong together.
    max_gap: Duration,
}

struct Seen {
    revision: u64,
    since: Instant,
}

impl<K: Clone + Eq + Hash> Observations<K> {
    pub(crate) fn new(max_gap: Duration) -> Self {
        Self {
            seen: HashMap::new(),
            last: None,
            max_gap,
        }
    }

    /// Records a look at all keys and their revisions. Keys that are missing are forgotten.
    pub(crate) fn observe<'k>(&mut self, current: impl IntoIterator<Item = (&'k K, u64)>)
    where
        K: 'k,
    {
        let now = Instant::now();
        let last = self.last.replace(now);
        if last.is_none_or(|last| now - last > self.max_gap) {
            self.seen.clear();
        }
        let mut before = std::mem::take(&mut self.seen);
        for (key, revision) in current {
            let since = match before.remove(key) {
                Some(seen) if seen.revision == revision => seen.since,
                _ => now,
            };
            self.seen.insert(key.clone(), Seen { revision, since });
        }
    }

    /// Whether the last look has seen `key`.
    pub(crate) fn has(&self, key: &K) -> bool {
        self.seen.contains_key(key)
    }

    /// The time for which `key` is known to be unchanged.
    pub(crate) fn unchanged_for(&self, key: &K) -> Duration {
        let seen = self.seen.get(key);
        seen.map_or(Duration::ZERO, |seen| seen.since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn unchanged_key_is_measured_from_its_first_look() {
        let mut observations = Observations::new(2 * SECOND);
        for _ in 0..5 {
            observations.observe([(&"a", 1)]);
            advance(SECOND).await;
        }
        assert_eq!(observations.unchanged_for(&"a"), 5 * SECOND);
        observations.observe([(&"a", 2)]);
        assert_eq!(observations.unchanged_for(&"a"), Duration::ZERO);
        assert_eq!(observations.unchanged_for(&"b"), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn gap_between_looks_starts_the_measurement_again() {
        let mut observations = Observations::new(2 * SECOND);
        observations.observe([(&"a", 1)]);
        advance(3 * SECOND).await;
        observations.observe([(&"a", 1)]);
        assert_eq!(observations.unchanged_for(&"a"), Duration::ZERO);
    }
}
