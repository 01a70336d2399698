//! A token stream: one short message at a time, at a steady pace, with the time of its creation.

use std::time::{SystemTime, UNIX_EPOCH};

use futures::{Stream, stream};
use tokio::time::{MissedTickBehavior, interval};

use crate::measure::TOKEN_INTERVAL;

/// The times of `count` ticks of [`TOKEN_INTERVAL`].
pub(super) fn times(count: u32) -> impl Stream<Item = u64> + Send + 'static {
    let mut ticks = interval(TOKEN_INTERVAL);
    // A late tick changes neither the pace nor the phase of the others.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    stream::unfold((ticks, 0), move |(mut ticks, made)| async move {
        if made == count {
            return None;
        }
        ticks.tick().await;
        Some((now(), (ticks, made + 1)))
    })
}

/// The time since `created`, which a process on this machine has read with [`times`].
pub(super) fn seconds_since(created: u64) -> f64 {
    // A correction of the clock must not make a latency negative.
    now().saturating_sub(created) as f64 / 1e9
}

/// Nanoseconds of the clock that all processes share.
fn now() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| {
        elapsed.as_nanos().try_into().unwrap_or(u64::MAX)
    })
}
