//! The state that the tasks and the followers of the catalog cache share, and the reads that renew it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openagentmesh_protocol::{AgentName, ErrorCode};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::heard::{Heard, Mark, Outcome};
use super::snapshot::CatalogSnapshot;
use super::state::{CacheState, apply, replace, set_malformed};
use super::writer::{self, Read};
use crate::error::{Error, Result};
use crate::store::KvBucket;
use crate::util::backoff::Backoff;
use crate::util::single_flight::SingleFlight;
use crate::util::sync::Mutex;

/// The bounds of the back-off after the catalog could not be followed or read.
pub(super) const MIN_RETRY_DELAY: Duration = Duration::from_secs(1);
pub(super) const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);

/// The part of the cache that its tasks and followers share.
pub(super) struct Shared {
    pub(super) catalog: Arc<KvBucket>,
    /// The last catalog that was read.
    pub(super) state: watch::Sender<CacheState>,
    /// The writes by now. Locked before `state`.
    pub(super) heard: watch::Sender<Heard>,
    reading: SingleFlight<()>,
    /// The number of reads that have failed.
    failures: AtomicU64,
    pace: Mutex<Pace>,
}

/// The times between which the catalog is not read.
struct Pace {
    /// The start of the last read.
    last_read: Option<Instant>,
    /// The time until which no read is tried after one that has failed.
    retry_at: Option<Instant>,
    backoff: Backoff,
}

impl Shared {
    pub(super) fn new(catalog: Arc<KvBucket>) -> Self {
        let initial = match catalog.connection().check_attached() {
            Ok(()) => CacheState::Loading,
            Err(_) => CacheState::Unavailable { is_denied: false },
        };
        Self {
            catalog,
            state: watch::Sender::new(initial),
            heard: watch::Sender::new(Heard::new()),
            reading: SingleFlight::default(),
            failures: AtomicU64::new(0),
            pace: Mutex::new(Pace {
                last_read: None,
                retry_at: None,
                backoff: Backoff::new(MIN_RETRY_DELAY, MAX_RETRY_DELAY),
            }),
        }
    }

    pub(super) fn is_stale(&self) -> bool {
        self.heard.borrow().is_stale()
    }

    pub(super) fn may_concern(&self, name: &AgentName) -> bool {
        let heard = self.heard.borrow();
        heard.may_concern(|changed| changed == name.as_str())
    }

    /// The time of the next read by those who read at most once per `interval`, as far as it is in the future.
    fn next_read(&self, interval: Duration) -> Option<Instant> {
        let pace = self.pace.lock();
        let by_interval = pace.last_read.map(|last| last + interval);
        by_interval
            .max(pace.retry_at)
            .filter(|next| *next > Instant::now())
    }

    pub(super) fn is_due(&self, interval: Duration) -> bool {
        self.next_read(interval).is_none()
    }

    /// Reads the catalog if the cache may lack a write, at most once per `interval`.
    pub(super) async fn refresh_at_intervals(self: &Arc<Self>, interval: Duration) {
        while let Some(next) = self.next_read(interval) {
            sleep_until(next).await;
        }
        self.refresh().await;
    }

    /// As [`refresh`](Self::refresh), unless the connection is lost before or in between, or the last read has just
    /// failed: a query is then answered from the last state.
    pub(super) async fn refresh_while_connected(self: &Arc<Self>) {
        let connection = self.catalog.connection();
        let has_failed = self.pace.lock().retry_at;
        if !connection.is_up() || has_failed.is_some_and(|until| Instant::now() < until) {
            return;
        }
        tokio::select! {
            biased;
            () = self.refresh() => {}
            () = connection.wait_lost() => {}
        }
    }

    /// Reads the catalog if the cache has none, or may lack a write. Concurrent callers share one read, and its failure.
    pub(super) async fn refresh(self: &Arc<Self>) {
        let failures = self.failures.load(Ordering::Relaxed);
        let mut is_own = false;
        while !is_own {
            let has_state = self.state.borrow().revision().is_some();
            let has_failed = self.failures.load(Ordering::Relaxed) != failures;
            if has_failed || (has_state && !self.is_stale()) {
                return;
            }
            // The read in progress may have begun before the last write was heard of.
            let reading = self.reading.join(|| Arc::clone(self).read());
            is_own = reading.is_own;
            if let Err(error) = reading.done().await {
                tracing::debug!(%error, "the catalog is not read");
                return;
            }
        }
    }

    async fn read(self: Arc<Self>) {
        let mark = self.heard.borrow().mark();
        self.pace.lock().last_read = Some(Instant::now());
        match writer::read(&self.catalog).await {
            Ok(read) => {
                // A malformed value is part of the state.
                drop(self.store(mark, read, true));
                let mut pace = self.pace.lock();
                pace.backoff.reset();
                pace.retry_at = None;
            }
            Err(error) => {
                tracing::debug!(%error, "the catalog cannot be read");
                self.failures.fetch_add(1, Ordering::Relaxed);
                self.set_unavailable(&error);
                let mut pace = self.pace.lock();
                pace.retry_at = Some(Instant::now() + pace.backoff.next_delay());
            }
        }
    }

    /// Returns the result of a read that began at `mark`, or the problem of a malformed value. `keeps` says whether the
    /// cache gets it, too.
    pub(super) fn store(
        &self,
        mark: Mark,
        read: Read,
        keeps: bool,
    ) -> Result<Arc<CatalogSnapshot>> {
        let Read {
            document,
            revision,
            published,
            ..
        } = read;
        let read = document
            .map(|document| Arc::new(CatalogSnapshot::delivered(document, revision, published)));
        if !keeps {
            return read;
        }
        self.heard.send_if_modified(|heard| {
            match (heard.finish_read(mark, revision), &read) {
                (Outcome::Discard, _) => {}
                (Outcome::Apply, Ok(snapshot)) => apply(&self.state, Arc::clone(snapshot)),
                (Outcome::Replace, Ok(snapshot)) => replace(&self.state, Arc::clone(snapshot)),
                (Outcome::Apply, Err(problem)) => {
                    set_malformed(&self.state, revision, problem, false);
                }
                (Outcome::Replace, Err(problem)) => {
                    set_malformed(&self.state, revision, problem, true);
                }
            }
            // Those who wait for a write to be heard of learn of the state by itself, unless the read has to be
            // repeated.
            heard.is_stale()
        });
        read
    }

    /// Records that the catalog cannot be read, if it never was.
    pub(super) fn set_unavailable(&self, error: &Error) {
        self.state.send_if_modified(|state| {
            let is_unread = matches!(
                state,
                CacheState::Loading | CacheState::Unavailable { is_denied: false }
            );
            let is_denied = error.code() == &ErrorCode::ConnectionDenied;
            let is_new = is_denied || matches!(state, CacheState::Loading);
            if is_unread && is_new {
                *state = CacheState::Unavailable { is_denied };
            }
            is_unread && is_new
        });
    }
}
