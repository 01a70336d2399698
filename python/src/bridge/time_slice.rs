//! The time that a coroutine may keep its event loop.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::sync::lock;

/// The time after which a coroutine must let the loop run others.
const MAX_TIME_SLICE: Duration = Duration::from_millis(5);

/// The time slice of a coroutine that takes or sends many items without a wait.
#[derive(Default)]
pub(crate) struct TimeSlice(Mutex<Option<Instant>>);

impl TimeSlice {
    /// Whether the time slice is over. The next one then begins.
    pub(crate) fn is_over(&self) -> bool {
        let mut started = lock(&self.0);
        let now = Instant::now();
        let is_over = started.is_some_and(|started| now - started > MAX_TIME_SLICE);
        if is_over || started.is_none() {
            *started = Some(now);
        }
        is_over
    }

    /// Begins a time slice after a wait.
    pub(crate) fn restart(&self) {
        *lock(&self.0) = Some(Instant::now());
    }
}
