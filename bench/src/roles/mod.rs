//! The processes of a run: a host and a caller for each language, or workers.
//!
//! A caller takes a [`Task`](crate::measure::Task) per line of its input, a worker a
//! [`Job`](crate::measure::Job), and each answers it with a line of its output. Every process ends when
//! its input does, so that none outlives the bench.

mod caller;
mod host;
mod ours;
mod peer;
mod raw;
mod worker;

use std::io::Write;
use std::sync::LazyLock;

use serde::Serialize;
use tokio::sync::mpsc;

use crate::Result;
use crate::measure::BODY_BYTES;

pub(crate) use peer::Peer;
pub(crate) use worker::noise;

/// What a role says when it can be used.
const READY: &str = "ready";

/// Set for a process that shall do everything in one thread, so that what it does for a message does not
/// depend on which of several is awake.
pub(crate) const ONE_THREAD: &str = "BENCH_ONE_THREAD";

/// How many pieces an order is of.
const ORDERED: u32 = 12;

/// Who a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    /// Serves.
    Host,
    /// Calls, and takes the time.
    Caller,
    /// Registers agents and moves files, and takes the time.
    Worker,
    /// The same with the bare client.
    RawWorker,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Caller => "caller",
            Self::Worker => "worker",
            Self::RawWorker => "raw-worker",
        }
    }
}

/// Plays `role` until the input ends.
pub(crate) async fn run(role: Role, url: &str) -> Result<()> {
    let tasks = input();
    match role {
        Role::Host => host::run(url, tasks).await,
        Role::Caller => caller::run(url, tasks).await,
        Role::Worker => worker::run(worker::Ours::connect(url).await?, tasks).await,
        Role::RawWorker => worker::run(worker::Raw::connect(url).await?, tasks).await,
    }
}

/// The lines of the input. A thread of its own reads them, which keeps no process alive.
fn input() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            let Ok(line) = line else { break };
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Answers with a line.
fn say(what: &impl Serialize) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    serde_json::to_writer(&mut stdout, what)?;
    writeln!(stdout)?;
    stdout.flush()?;
    Ok(())
}

/// What everybody sends. It is made once: that is nobody's work that is measured.
static BODY: LazyLock<String> = LazyLock::new(|| body_of(BODY_BYTES));

fn body() -> &'static str {
    &BODY
}

/// A text of so many bytes as JSON.
fn body_of(bytes: usize) -> String {
    "x".repeat(bytes - "\"\"".len())
}
