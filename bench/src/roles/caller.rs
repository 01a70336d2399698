//! The process that takes the time.

use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{READY, ours, raw, say};
use crate::Result;
use crate::measure::{Contender, Measure, Outcome, Task};

/// What is measured of every contender. Each of them fails when anything is lost.
pub(super) trait Calls: Clone + Send + Sync + 'static {
    /// Sends a body and waits until it comes back.
    fn call(&self) -> impl Future<Output = Result<()>> + Send;
    /// Asks for so many chunks and takes them all.
    fn chunks(&self, messages: u32) -> impl Future<Output = Result<()>> + Send;
    /// Has so many events published and takes them all.
    fn events(&self, messages: u32) -> impl Future<Output = Result<()>> + Send;
}

pub(super) async fn run(url: &str, mut tasks: mpsc::Receiver<String>) -> Result<()> {
    let ours = ours::Caller::connect(url).await?;
    let raw = raw::Caller::connect(url, false).await?;
    let raw_with_headers = raw::Caller::connect(url, true).await?;
    say(&READY)?;
    while let Some(task) = tasks.recv().await {
        let task: Task = serde_json::from_str(&task)?;
        let measured = async {
            match task.contender {
                Contender::Ours => measure(&ours, &task).await,
                Contender::Raw => measure(&raw, &task).await,
                Contender::RawWithHeaders => measure(&raw_with_headers, &task).await,
                Contender::Python => Err("that is the other caller's".into()),
            }
        };
        tokio::select! {
            outcome = measured => say(&outcome?)?,
            // Nobody says anything before the answer: the bench is gone.
            _ = tasks.recv() => return Ok(()),
        }
    }
    Ok(())
}

async fn measure(caller: &impl Calls, task: &Task) -> Result<Outcome> {
    let mut latencies = Vec::new();
    let started = Instant::now();
    match task.measure {
        Measure::Latency => {
            latencies.reserve(task.messages as usize);
            for _ in 0..task.messages {
                let started = Instant::now();
                caller.call().await?;
                latencies.push(started.elapsed().as_secs_f64());
            }
        }
        Measure::Throughput => side_by_side(caller, task).await?,
        Measure::Chunks => caller.chunks(task.messages).await?,
        Measure::Events => caller.events(task.messages).await?,
    }
    Ok(Outcome {
        messages: task.messages,
        seconds: started.elapsed().as_secs_f64(),
        latencies,
    })
}

/// Callers in tasks of their own share the calls.
async fn side_by_side(caller: &impl Calls, task: &Task) -> Result<()> {
    let mut callers = JoinSet::new();
    for index in 0..task.in_flight {
        let share = (task.messages + index) / task.in_flight;
        let caller = caller.clone();
        callers.spawn(async move {
            for _ in 0..share {
                caller.call().await?;
            }
            Result::Ok(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(())
}
