//! The process that measures.

use std::ops::Range;
use std::time::Instant;

use openagentmesh::RequestId;
use openagentmesh::protocol::bucket::CONTEXT;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::calls::{Callee, Calls};
use super::role::READY;
use super::stdio::answer;
use super::{ours, raw};
use crate::error::Result;
use crate::measure::{Contender, Measure, Outcome, SHORT_STREAM, Task};

/// Number of keys, used in rotation.
const KEYS: u32 = 64;

pub(super) async fn run(url: &str, mut tasks: mpsc::Receiver<String>) -> Result<()> {
    let ours = ours::Caller::connect(url).await?;
    let of_python = ours.clone().calling("python.echo");
    let raw = raw::Caller::connect(url).await?;
    let raw_with_headers = raw::Caller::connect(url).await?.with_headers();
    let service = raw_with_headers.clone().calling(raw::SERVICE_ECHO);
    // The first use creates the bucket.
    ours.put("bench.bucket").await?;
    let same_bucket = raw.clone().with_bucket(CONTEXT).await?;
    answer(&READY)?;
    while let Some(task) = tasks.recv().await {
        let task: Task = serde_json::from_str(&task)?;
        let measured = async {
            match task.contender {
                Contender::Ours => measure(&ours, &task).await,
                Contender::Raw => measure(&raw, &task).await,
                Contender::RawWithHeaders => measure(&raw_with_headers, &task).await,
                Contender::RawSameBucket => measure(&same_bucket, &task).await,
                Contender::Service => measure(&service, &task).await,
                // The agents of a Python host, with this SDK as the caller.
                Contender::PythonPackage | Contender::Python => measure(&of_python, &task).await,
                Contender::Other => Err("the other build has another caller".into()),
            }
        };
        tokio::select! {
            outcome = measured => answer(&outcome?)?,
            // The bench sends nothing before the answer: its end of the input is closed.
            _ = tasks.recv() => return Ok(()),
        }
    }
    Ok(())
}

async fn measure(caller: &impl Calls, task: &Task) -> Result<Outcome> {
    if task.measure == Measure::KvGet {
        for number in 0..KEYS.min(task.messages) {
            caller.put(&key(number)).await?;
        }
    }
    let started = Instant::now();
    let latencies = match task.measure {
        Measure::Latency => sequential(caller, task, |_| Callee::Echo).await?,
        Measure::TwoHops => sequential(caller, task, |_| Callee::Relay).await?,
        Measure::Limits => sequential(caller, task, every_other_limited).await?,
        Measure::Throughput => calls(caller, task, Callee::Echo).await?,
        Measure::LargeThroughput => calls(caller, task, Callee::LargeEcho).await?,
        Measure::Chunks => streams(caller, task).await?,
        Measure::FirstChunk => first_chunks(caller, task).await?,
        Measure::Events => {
            caller.events(task.messages, task.in_flight).await?;
            Vec::new()
        }
        Measure::Sleeping | Measure::Memory => {
            return Err(format!("{:?} has Python callers only", task.measure).into());
        }
        Measure::KvPut => puts(caller, task).await?,
        Measure::KvGet => gets(caller, task).await?,
        Measure::KvWatch => {
            // A new key: a client may keep earlier watches.
            let key = format!("bench.watched.{}", RequestId::random());
            caller.watch(&key, task.messages).await?
        }
    };
    Ok(Outcome {
        messages: task.messages,
        seconds: started.elapsed().as_secs_f64(),
        latencies,
    })
}

fn every_other_limited(index: u32) -> Callee {
    if index.is_multiple_of(2) {
        Callee::Order
    } else {
        Callee::LimitedOrder
    }
}

fn key(number: u32) -> String {
    format!("bench.key-{}", number % KEYS)
}

/// Sequential calls; returns the seconds of each.
async fn sequential(
    caller: &impl Calls,
    task: &Task,
    callee: impl Fn(u32) -> Callee,
) -> Result<Vec<f64>> {
    let mut latencies = Vec::with_capacity(task.messages as usize);
    for index in 0..task.messages {
        let callee = callee(index);
        let started = Instant::now();
        caller.call(callee).await?;
        latencies.push(started.elapsed().as_secs_f64());
    }
    Ok(latencies)
}

/// Sequential streams, each read to its end; returns the seconds to each first chunk.
async fn first_chunks(caller: &impl Calls, task: &Task) -> Result<Vec<f64>> {
    let mut latencies = Vec::with_capacity(task.messages as usize);
    for _ in 0..task.messages {
        let first = caller.chunks(SHORT_STREAM).await?;
        latencies.push(first.as_secs_f64());
    }
    Ok(latencies)
}

async fn calls(caller: &impl Calls, task: &Task, callee: Callee) -> Result<Vec<f64>> {
    concurrent(caller, task, move |caller, share| async move {
        for _ in share {
            caller.call(callee).await?;
        }
        Ok(())
    })
    .await
}

async fn streams(caller: &impl Calls, task: &Task) -> Result<Vec<f64>> {
    concurrent(caller, task, |caller, share| async move {
        if !share.is_empty() {
            caller.chunks(share.end - share.start).await?;
        }
        Ok(())
    })
    .await
}

async fn puts(caller: &impl Calls, task: &Task) -> Result<Vec<f64>> {
    concurrent(caller, task, |caller, share| async move {
        for number in share {
            caller.put(&key(number)).await?;
        }
        Ok(())
    })
    .await
}

async fn gets(caller: &impl Calls, task: &Task) -> Result<Vec<f64>> {
    concurrent(caller, task, |caller, share| async move {
        for number in share {
            caller.get(&key(number)).await?;
        }
        Ok(())
    })
    .await
}

/// Shares the messages among tasks. No single message is timed.
async fn concurrent<C, F, D>(caller: &C, task: &Task, does: F) -> Result<Vec<f64>>
where
    C: Calls,
    F: Fn(C, Range<u32>) -> D,
    D: Future<Output = Result<()>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let mut first = 0;
    for index in 0..task.in_flight {
        let share = (task.messages + index) / task.in_flight;
        tasks.spawn(does(caller.clone(), first..first + share));
        first += share;
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(Vec::new())
}
