//! Notices that this process was frozen: stopped by a signal, suspended, or starved of its processor.
//!
//! The requests that arrive after a freeze may have waited in the buffers of the network for as long as it lasted. Their
//! callers may have given up, and the time of arrival does not show that. The host therefore asks the callers before it
//! starts their requests (`cancellation::still_waits`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::session::Session;

/// The interval of the timer that shows that the process runs.
const TICK_INTERVAL: Duration = Duration::from_millis(250);
/// A timer that is later than this was frozen.
const MAX_TICK_DELAY: Duration = Duration::from_secs(1);
/// The time after the first round trip to the server in which requests may still wait in the queues of this process.
const SETTLE_TIME: Duration = Duration::from_secs(1);

/// Notices freezes of this process.
pub(super) struct FreezeWatch {
    /// The origin of the times below.
    start: Instant,
    /// The time of the last sign that the process runs, in milliseconds; written by the timer and by each request.
    last_tick: AtomicU64,
    /// The number of freezes.
    count: AtomicU64,
    /// The time up to which requests may be older than they seem, in milliseconds.
    suspect_until: AtomicU64,
    started: Once,
}

impl FreezeWatch {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            // Far ahead: the timer has not started.
            last_tick: AtomicU64::new(u64::MAX),
            count: AtomicU64::new(0),
            suspect_until: AtomicU64::new(0),
            started: Once::new(),
        })
    }

    /// Starts the timer, unless that was done before. It ends with `abort`.
    pub(super) fn start(self: &Arc<Self>, session: &Arc<Session>, abort: &CancellationToken) {
        self.started.call_once(|| {
            let (watch, session, abort) = (Arc::clone(self), Arc::clone(session), abort.clone());
            tokio::spawn(async move { abort.run_until_cancelled(watch.run(&session)).await });
        });
    }

    async fn run(&self, session: &Session) {
        let mut ticks = interval(TICK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let closed = session.connection.closed();
        let mut handled = 0;
        self.last_tick
            .store(self.at(Instant::now()), Ordering::Relaxed);
        while closed.run_until_cancelled(ticks.tick()).await.is_some() {
            self.observe(Instant::now());
            let count = self.count.load(Ordering::Acquire);
            if count == handled {
                continue;
            }
            tracing::warn!(
                "this process was frozen; the host asks callers before it starts their requests"
            );
            // Everything that the server sent before the answer has arrived then.
            if let Err(error) = session.connection.synchronize().await {
                tracing::debug!(%error, "no round trip after a freeze");
                continue;
            }
            if self.count() != count {
                continue;
            }
            handled = count;
            let settled = self.at(Instant::now() + SETTLE_TIME);
            self.suspect_until.store(settled, Ordering::Release);
        }
    }

    /// Whether a request that was known to be current at `checked` may be older than it seems. `freezes` is the number
    /// of freezes after which its caller was asked.
    pub(super) fn suspects(&self, checked: Instant, freezes: Option<u64>) -> bool {
        let count = self.observe(Instant::now());
        count > freezes.unwrap_or(0)
            && self.at(checked) <= self.suspect_until.load(Ordering::Acquire)
    }

    /// The number of freezes so far.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Notes that the process runs at `now`, and returns the number of freezes.
    fn observe(&self, now: Instant) -> u64 {
        let now = self.at(now);
        let last = self.last_tick.load(Ordering::Relaxed);
        let max_delay = u64::try_from(MAX_TICK_DELAY.as_millis()).unwrap_or(u64::MAX);
        if now.saturating_sub(last) > max_delay {
            // Only the first observer after the freeze counts it.
            let exchanged =
                self.last_tick
                    .compare_exchange(last, now, Ordering::AcqRel, Ordering::Relaxed);
            if exchanged.is_ok() {
                self.suspect_until.store(u64::MAX, Ordering::Release);
                self.count.fetch_add(1, Ordering::AcqRel);
            }
        } else if last < now {
            self.last_tick.store(now, Ordering::Relaxed);
        }
        self.count()
    }

    fn at(&self, time: Instant) -> u64 {
        let since = time.saturating_duration_since(self.start).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_are_suspect_after_a_gap_of_the_timer_until_their_caller_was_asked() {
        let watch = FreezeWatch::new();
        let received = Instant::now();
        tokio::time::advance(MAX_TICK_DELAY * 10).await;
        assert!(!watch.suspects(received, None), "the timer has not started");
        watch
            .last_tick
            .store(watch.at(Instant::now()), Ordering::Relaxed);
        for _ in 0..10 {
            tokio::time::advance(MAX_TICK_DELAY).await;
            assert!(!watch.suspects(received, None), "the process ran");
        }
        tokio::time::advance(MAX_TICK_DELAY * 2).await;
        let late = Instant::now();
        assert!(watch.suspects(received, None) && watch.suspects(late, None));
        assert!(
            !watch.suspects(late, Some(watch.count())),
            "the caller was asked"
        );
        watch
            .suspect_until
            .store(watch.at(late + SETTLE_TIME), Ordering::Relaxed);
        assert!(watch.suspects(received, None), "arrived before the freeze");
        tokio::time::advance(MAX_TICK_DELAY).await;
        watch.observe(Instant::now());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!watch.suspects(Instant::now(), None), "arrived after it");
    }
}
