//! What is measured, by whom, how much of it and in which order.

use std::time::Duration;

use openagentmesh_local::LocalServer;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::report::{Report, Series, Unit};
use crate::roles::{Peer, Role};

/// How many calls are under way at once in [`Measure::Throughput`].
pub(crate) const IN_FLIGHT: u32 = 64;

/// What is sent, as JSON: a string of so many bytes with its quotes.
pub(crate) const BODY_BYTES: usize = 100;

/// Whose work is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Contender {
    /// This SDK.
    Ours,
    /// `async-nats` with the headers that this SDK sends, made anew for each message.
    RawWithHeaders,
    /// `async-nats` with nothing but the body.
    Raw,
    /// The published Python SDK.
    Python,
}

impl Contender {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::RawWithHeaders => "raw, same headers",
            Self::Raw => "raw",
            Self::Python => "Python SDK",
        }
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measure {
    /// Calls one after another.
    Latency,
    /// Calls side by side.
    Throughput,
    /// The chunks of one streamed reply.
    Chunks,
    /// A publisher's events.
    Events,
}

impl Measure {
    const ALL: [Self; 4] = [Self::Latency, Self::Throughput, Self::Chunks, Self::Events];

    /// As many messages as take about half a second.
    const fn messages(self, contender: Contender) -> u32 {
        match (self, contender) {
            (Self::Latency, Contender::Python) => 500,
            (Self::Latency, _) => 2_000,
            (Self::Throughput, Contender::Python) => 5_000,
            (Self::Throughput, _) => 20_000,
            (Self::Chunks, Contender::Python) => 2_000,
            (Self::Events, Contender::Python) => 20_000,
            (Self::Chunks | Self::Events, _) => 48_000,
        }
    }
}

/// What a caller is told to do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) contender: Contender,
    pub(crate) measure: Measure,
    pub(crate) messages: u32,
    pub(crate) in_flight: u32,
}

/// What came of it. A caller fails rather than tell of messages that it did not get.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// How many messages came back, or arrived.
    pub(crate) messages: u32,
    /// How long all of them took.
    pub(crate) seconds: f64,
    /// How long each of them took, where they came one after another.
    #[serde(default)]
    pub(crate) latencies: Vec<f64>,
}

/// What the user asked for.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    pub(crate) messages: Option<u32>,
    pub(crate) with_python: bool,
}

/// Starts a server and the processes, and measures.
pub(crate) async fn run(plan: &Plan) -> Result<Report> {
    let server = LocalServer::start().await?;
    let nats_server = server.binary().version().to_string();
    let url = server.url();
    let mut contenders = vec![Contender::Ours, Contender::RawWithHeaders, Contender::Raw];
    let mut rust = Pair::start(Peer::rust, url).await?;
    let mut python = None;
    if plan.with_python {
        contenders.push(Contender::Python);
        let interpreter = Peer::python_interpreter().await?;
        let start = |role, url: &str| Peer::python(&interpreter, role, url);
        python = Some(Pair::start(start, url).await?);
    }

    let setting = format!("bodies of {BODY_BYTES} bytes");
    let references = &[Contender::RawWithHeaders, Contender::Raw];
    let mut report = Report::new(plan.rounds, nats_server, setting, references);
    // The first round warms everything up, and does not count.
    for round in 0..=plan.rounds {
        match round {
            0 => eprintln!("warming up"),
            _ => eprintln!("round {round} of {}", plan.rounds),
        }
        for measure in Measure::ALL {
            for &contender in &contenders {
                let messages = measure.messages(contender);
                let task = Task {
                    contender,
                    measure,
                    messages: match (plan.messages, round) {
                        (Some(messages), _) => messages,
                        (None, 0) => messages / 4,
                        (None, _) => messages,
                    },
                    in_flight: IN_FLIGHT,
                };
                let pair = match (&mut python, contender) {
                    (Some(python), Contender::Python) => python,
                    _ => &mut rust,
                };
                let outcome = pair.measure(&task).await?;
                if round > 0 {
                    add(&mut report, &task, outcome);
                }
            }
        }
        // Each takes its turn in being the first.
        contenders.rotate_left(1);
    }
    if let Some(python) = python {
        python.end().await?;
    }
    rust.end().await?;
    server.stop().await?;
    Ok(report)
}

fn add(report: &mut Report, task: &Task, mut outcome: Outcome) {
    let mut add = |what, unit, value| {
        let series = Series::new(what, task.contender, unit);
        report.series(series).add(outcome.messages, value);
    };
    let per_second = f64::from(outcome.messages) / outcome.seconds;
    match task.measure {
        Measure::Latency => {
            let latencies = &mut outcome.latencies;
            latencies.sort_by(f64::total_cmp);
            add("call, p50", Unit::Microseconds, percentile(latencies, 50));
            add("call, p99", Unit::Microseconds, percentile(latencies, 99));
        }
        Measure::Throughput => add("calls, 64 in flight", Unit::PerSecond, per_second),
        Measure::Chunks => add("chunks of a stream", Unit::PerSecond, per_second),
        Measure::Events => add("events", Unit::PerSecond, per_second),
    }
}

/// In microseconds, of latencies in seconds and in order.
fn percentile(latencies: &[f64], percent: usize) -> f64 {
    let index = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
    latencies
        .get(index)
        .map_or(f64::NAN, |seconds| seconds * 1e6)
}

/// A host, and a caller of its agents.
struct Pair {
    host: Peer,
    caller: Peer,
}

impl Pair {
    /// How long one measurement may take.
    const DEADLINE: Duration = Duration::from_secs(60);

    async fn start(start: impl Fn(Role, &str) -> Result<Peer>, url: &str) -> Result<Self> {
        let mut host = start(Role::Host, url)?;
        host.ready(Self::DEADLINE).await?;
        let mut caller = start(Role::Caller, url)?;
        caller.ready(Self::DEADLINE).await?;
        Ok(Self { host, caller })
    }

    async fn measure(&mut self, task: &Task) -> Result<Outcome> {
        let outcome: Outcome = self.caller.ask(task, Self::DEADLINE).await?;
        if outcome.messages != task.messages {
            let (got, asked) = (outcome.messages, task.messages);
            return Err(format!("{task:?}: {got} messages came of {asked}").into());
        }
        Ok(outcome)
    }

    async fn end(self) -> Result<()> {
        self.caller.end(Self::DEADLINE).await?;
        self.host.end(Self::DEADLINE).await
    }
}
