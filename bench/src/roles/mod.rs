//! The processes of a run: a host and a caller per language, and workers.
//!
//! A caller reads one [`Task`](crate::measure::Task) per input line, a worker one
//! [`Job`](crate::measure::Job), and each writes one line as the answer. A process ends when its input
//! ends, so that none outlives the bench.

mod body;
mod caller;
mod calls;
mod host;
mod ours;
mod peer;
mod raw;
mod role;
mod stdio;
mod tokens;
mod worker;

use crate::error::Result;

pub(crate) use body::noise;
pub(crate) use peer::Peer;
pub(crate) use role::{ONE_THREAD, Role};

/// Plays `role` until the input ends.
pub(crate) async fn run(role: Role, url: &str) -> Result<()> {
    let tasks = stdio::input();
    match role {
        Role::Host => host::run(url, tasks).await,
        Role::Caller => caller::run(url, tasks).await,
        Role::Worker => worker::run(worker::Ours::connect(url).await?, tasks).await,
        Role::RawWorker => worker::run(worker::Raw::connect(url).await?, tasks).await,
    }
}
