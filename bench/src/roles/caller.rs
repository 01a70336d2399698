//! The process that measures.

use std::ops::Range;
use std::time::Instant;

use async_nats::Client;
use openagentmesh::RequestId;
use openagentmesh::protocol::bucket::CONTEXT;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::calls::{Callee, Calls, parts};
use super::role::READY;
use super::stdio::answer;
use super::{ours, raw};
use crate::error::Result;
use crate::measure::{BodySize, Contender, Measure, Outcome, SHORT_STREAM, TOKEN_INTERVAL, Task};

/// Number of keys, used in rotation.
const KEYS: u32 = 64;
/// Number of medium bodies that are on the way at once: 16 MiB.
const PUBLISHED_AT_ONCE: u32 = 1_000;

pub(super) async fn run(url: &str, mut tasks: mpsc::Receiver<String>) -> Result<()> {
    let ours = ours::Caller::connect(url).await?;
    let of_python = ours.clone().calling("python.echo");
    let raw = raw::Caller::connect(url).await?;
    let raw_with_headers = raw::Caller::connect(url).await?.with_headers();
    let service = raw_with_headers.clone().calling(raw::SERVICE_ECHO);
    let sink = async_nats::connect(url).await?;
    // The first use creates the bucket.
    ours.put("bench.bucket").await?;
    let same_bucket = raw.clone().with_bucket(CONTEXT).await?;
    answer(&READY)?;
    while let Some(task) = tasks.recv().await {
        let task: Task = serde_json::from_str(&task)?;
        let measured = async {
            let sink = &sink;
            match task.contender {
                Contender::Ours if task.measure == Measure::Tokens => {
                    tokens(&ours, &raw_with_headers, &task).await
                }
                Contender::Ours => measure(&ours, sink, &task).await,
                Contender::Raw => measure(&raw, sink, &task).await,
                Contender::RawWithHeaders => measure(&raw_with_headers, sink, &task).await,
                Contender::RawSameBucket => measure(&same_bucket, sink, &task).await,
                Contender::Service => measure(&service, sink, &task).await,
                Contender::RawCall => {
                    let task = Task {
                        measure: Measure::Latency,
                        ..task
                    };
                    measure(&raw_with_headers, sink, &task).await
                }
                // The agents of a Python host, with this SDK as the caller.
                Contender::PythonPackage | Contender::Python => {
                    measure(&of_python, sink, &task).await
                }
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

async fn measure(caller: &impl Calls, sink: &Client, task: &Task) -> Result<Outcome> {
    if task.measure == Measure::KvGet {
        for number in 0..KEYS.min(task.messages) {
            caller.put(&key(number)).await?;
        }
    }
    let started = Instant::now();
    let latencies = match task.measure {
        Measure::Latency => sequential(caller, task, |_| Callee::Echo(BodySize::Standard)).await?,
        Measure::SmallLatency => {
            sequential(caller, task, |_| Callee::Echo(BodySize::Small)).await?
        }
        Measure::MediumLatency => {
            sequential(caller, task, |_| Callee::Echo(BodySize::Medium)).await?
        }
        Measure::TwoHops => sequential(caller, task, |_| Callee::Relay).await?,
        Measure::Limits => sequential(caller, task, every_other_limited).await?,
        Measure::Throughput => calls(caller, task, BodySize::Standard).await?,
        Measure::LargeThroughput => calls(caller, task, BodySize::Large).await?,
        Measure::Chunks => streams(caller, task, BodySize::Standard).await?,
        Measure::SmallChunks => streams(caller, task, BodySize::Small).await?,
        Measure::MediumChunks => streams(caller, task, BodySize::Medium).await?,
        Measure::FirstChunk => first_chunks(caller, task).await?,
        Measure::Events => {
            caller.events(task.messages, task.in_flight).await?;
            Vec::new()
        }
        Measure::MediumPublish => {
            publish(caller, sink, task).await?;
            Vec::new()
        }
        Measure::Tokens => return Err("this SDK measures the bare client next to it".into()),
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
        let first = caller.chunks(BodySize::Standard, SHORT_STREAM).await?;
        latencies.push(first.as_secs_f64());
    }
    Ok(latencies)
}

async fn calls(caller: &impl Calls, task: &Task, size: BodySize) -> Result<Vec<f64>> {
    concurrent(caller, task, move |caller, share| async move {
        for _ in share {
            caller.call(Callee::Echo(size)).await?;
        }
        Ok(())
    })
    .await
}

/// Concurrent streams; a large share is read as streams that follow each other.
async fn streams(caller: &impl Calls, task: &Task, size: BodySize) -> Result<Vec<f64>> {
    concurrent(caller, task, move |caller, share| async move {
        for part in parts(share.len() as u32, size.max_chunks()) {
            caller.chunks(size, part).await?;
        }
        Ok(())
    })
    .await
}

/// A token stream of this SDK, and at the same time one of the bare client. The results alternate.
async fn tokens(ours: &impl Calls, raw_with_headers: &impl Calls, task: &Task) -> Result<Outcome> {
    let started = Instant::now();
    let half_an_interval_later = async {
        tokio::time::sleep(TOKEN_INTERVAL / 2).await;
        raw_with_headers.tokens(task.messages).await
    };
    let (chunks, messages) =
        futures::try_join!(ours.tokens(task.messages), half_an_interval_later)?;
    Ok(Outcome {
        messages: u32::try_from(chunks.len().min(messages.len()))?,
        seconds: started.elapsed().as_secs_f64(),
        latencies: chunks
            .into_iter()
            .zip(messages)
            .flat_map(|(chunk, message)| [chunk, message])
            .collect(),
    })
}

/// Has the sink confirm each batch, so that neither it nor the server drops messages.
async fn publish(caller: &impl Calls, sink: &Client, task: &Task) -> Result<()> {
    for batch in parts(task.messages, PUBLISHED_AT_ONCE) {
        caller.publish(batch).await?;
        raw::counted(sink, batch).await?;
    }
    Ok(())
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
