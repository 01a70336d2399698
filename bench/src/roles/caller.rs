//! The process that takes the time.

use std::ops::Range;
use std::time::{Duration, Instant};

use openagentmesh::RequestId;
use openagentmesh::protocol::bucket::CONTEXT;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{READY, ours, raw, say};
use crate::Result;
use crate::measure::{Contender, Measure, Outcome, SHORT_STREAM, Task};

/// How many keys there are to be put and got in turn.
const KEYS: u32 = 64;

/// So many events come at once: fewer than a subscriber keeps for a slow reader.
const BATCH: u32 = 12_000;

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Called {
    /// Gives back what it gets.
    Echo,
    /// The same with a large body.
    LargeEcho,
    /// Has it given back by another.
    Relay,
    /// Takes a struct.
    Order,
    /// Takes a struct whose fields are limited.
    LimitedOrder,
}

/// What is measured of every contender. Each of them fails when anything is lost.
pub(super) trait Calls: Clone + Send + Sync + 'static {
    /// Sends a body and waits for the answer.
    fn call(&self, called: Called) -> impl Future<Output = Result<()>> + Send;
    /// Asks for so many chunks and takes them all; returns how long the first took.
    fn chunks(&self, messages: u32) -> impl Future<Output = Result<Duration>> + Send;
    /// Has so many events published, and takes them all as each of so many subscribers.
    fn events(&self, messages: u32, subscribers: u32) -> impl Future<Output = Result<()>> + Send;
    /// Puts a body under `key`.
    fn put(&self, key: &str) -> impl Future<Output = Result<()>> + Send;
    /// Gets it.
    fn get(&self, key: &str) -> impl Future<Output = Result<()>> + Send;
    /// Puts a body under `key` so many times; returns how long each took to come to a watch of it.
    fn watch(&self, key: &str, messages: u32) -> impl Future<Output = Result<Vec<f64>>> + Send;
}

/// So many events, in portions that no subscriber loses anything of.
pub(super) fn batches(events: u32) -> impl Iterator<Item = u32> + Send {
    (0..events)
        .step_by(BATCH as usize)
        .map(move |begun| BATCH.min(events - begun))
}

/// Has each subscription taken from by a task of its own, and gives them back.
pub(super) async fn take_all<S, F>(
    subscriptions: Vec<S>,
    take: impl Fn(S) -> F + Send,
) -> Result<Vec<S>>
where
    S: Send + 'static,
    F: Future<Output = Result<S>> + Send + 'static,
{
    let taking: Vec<_> = subscriptions
        .into_iter()
        .map(take)
        .map(tokio::spawn)
        .collect();
    let mut subscriptions = Vec::new();
    for taken in taking {
        subscriptions.push(taken.await??);
    }
    Ok(subscriptions)
}

pub(super) async fn run(url: &str, mut tasks: mpsc::Receiver<String>) -> Result<()> {
    let ours = ours::Caller::connect(url).await?;
    let raw = raw::Caller::connect(url).await?;
    let raw_with_headers = raw::Caller::connect(url).await?.with_headers();
    let service = raw_with_headers.clone().calling(raw::SERVICE_ECHO);
    // There is a bucket when somebody has asked for it.
    ours.put("bench.bucket").await?;
    let same_bucket = raw.clone().keeping_in(CONTEXT).await?;
    say(&READY)?;
    while let Some(task) = tasks.recv().await {
        let task: Task = serde_json::from_str(&task)?;
        let measured = async {
            match task.contender {
                Contender::Ours => measure(&ours, &task).await,
                Contender::Raw => measure(&raw, &task).await,
                Contender::RawWithHeaders => measure(&raw_with_headers, &task).await,
                Contender::RawSameBucket => measure(&same_bucket, &task).await,
                Contender::Service => measure(&service, &task).await,
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
    if task.measure == Measure::KvGet {
        for number in 0..KEYS.min(task.messages) {
            caller.put(&key(number)).await?;
        }
    }
    let started = Instant::now();
    let latencies = match task.measure {
        Measure::Latency => one_by_one(caller, task, |_| Called::Echo).await?,
        Measure::TwoHops => one_by_one(caller, task, |_| Called::Relay).await?,
        Measure::Limits => one_by_one(caller, task, every_other_limited).await?,
        Measure::Throughput => calls(caller, task, Called::Echo).await?,
        Measure::LargeThroughput => calls(caller, task, Called::LargeEcho).await?,
        Measure::Chunks => streams(caller, task).await?,
        Measure::FirstChunk => first_chunks(caller, task).await?,
        Measure::Events => {
            caller.events(task.messages, task.in_flight).await?;
            Vec::new()
        }
        Measure::KvPut => puts(caller, task).await?,
        Measure::KvGet => gets(caller, task).await?,
        Measure::KvWatch => {
            // Nobody else may watch it still: not every client ends its watches.
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

fn every_other_limited(index: u32) -> Called {
    if index.is_multiple_of(2) {
        Called::Order
    } else {
        Called::LimitedOrder
    }
}

fn key(number: u32) -> String {
    format!("bench.key-{}", number % KEYS)
}

/// Calls one after another; how long each took.
async fn one_by_one(
    caller: &impl Calls,
    task: &Task,
    called: impl Fn(u32) -> Called,
) -> Result<Vec<f64>> {
    let mut latencies = Vec::with_capacity(task.messages as usize);
    for index in 0..task.messages {
        let called = called(index);
        let started = Instant::now();
        caller.call(called).await?;
        latencies.push(started.elapsed().as_secs_f64());
    }
    Ok(latencies)
}

/// The same of first chunks, of streams that are taken to their end.
async fn first_chunks(caller: &impl Calls, task: &Task) -> Result<Vec<f64>> {
    let mut latencies = Vec::with_capacity(task.messages as usize);
    for _ in 0..task.messages {
        let first = caller.chunks(SHORT_STREAM).await?;
        latencies.push(first.as_secs_f64());
    }
    Ok(latencies)
}

async fn calls(caller: &impl Calls, task: &Task, called: Called) -> Result<Vec<f64>> {
    side_by_side(caller, task, move |caller, share| async move {
        for _ in share {
            caller.call(called).await?;
        }
        Ok(())
    })
    .await
}

async fn streams(caller: &impl Calls, task: &Task) -> Result<Vec<f64>> {
    side_by_side(caller, task, |caller, share| async move {
        if !share.is_empty() {
            caller.chunks(share.end - share.start).await?;
        }
        Ok(())
    })
    .await
}

async fn puts(caller: &impl Calls, task: &Task) -> Result<Vec<f64>> {
    side_by_side(caller, task, |caller, share| async move {
        for number in share {
            caller.put(&key(number)).await?;
        }
        Ok(())
    })
    .await
}

async fn gets(caller: &impl Calls, task: &Task) -> Result<Vec<f64>> {
    side_by_side(caller, task, |caller, share| async move {
        for number in share {
            caller.get(&key(number)).await?;
        }
        Ok(())
    })
    .await
}

/// Tasks of their own share the messages. Nobody takes the time of a single one.
async fn side_by_side<C, F, D>(caller: &C, task: &Task, does: F) -> Result<Vec<f64>>
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
