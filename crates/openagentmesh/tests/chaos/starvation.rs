//! The time in which the machine did not run this process.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longer delays of a timer count as time in which the process did not run.
const TOLERANCE: Duration = Duration::from_millis(50);
const INTERVAL: Duration = Duration::from_millis(20);

/// Measures how late the timers of the runtime are. The time that the machine withheld is not a fault of the SDK.
#[derive(Clone)]
pub(crate) struct Starvation(Arc<Mutex<State>>);

struct State {
    /// Until the last tick.
    total: Duration,
    last_tick: Instant,
}

impl Starvation {
    /// Starts the measurement, which ends with the runtime.
    pub(crate) fn start() -> Self {
        let starvation = Self(Arc::new(Mutex::new(State {
            total: Duration::ZERO,
            last_tick: Instant::now(),
        })));
        let ticking = starvation.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(INTERVAL).await;
                let total = ticking.total();
                let mut state = ticking.0.lock().unwrap();
                state.total = total;
                state.last_tick = Instant::now();
            }
        });
        starvation
    }

    /// The time until now. After a pause of the process, another task may run before the timer.
    pub(crate) fn total(&self) -> Duration {
        let state = self.0.lock().unwrap();
        let late = state.last_tick.elapsed().saturating_sub(INTERVAL);
        match late > TOLERANCE {
            true => state.total + late,
            false => state.total,
        }
    }
}
