//! The load: requests of all kinds, each sent at its time, whether the ones before have ended or not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openagentmesh::{AgentMesh, Error, Retry};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::agents::{NUMBER, chunks};
use crate::ledger::Ledger;
use crate::starvation::Starvation;

/// The number of callers.
pub(crate) const CALLERS: u64 = 4;
/// The interval of the requests of one caller: 250 a second.
const INTERVAL: Duration = Duration::from_millis(4);
/// The requests of one caller that are in flight at most. A request beyond that is not sent, because the machine is too
/// slow.
const MAX_IN_FLIGHT: usize = 1500;
/// The time that a request may last beyond its deadline.
const TOLERANCE: Duration = Duration::from_secs(1);
/// The time after which a request counts as one that never ends.
const HANG_TIMEOUT: Duration = Duration::from_secs(60);
/// The deadline of each operation on values.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy)]
enum Kind {
    Call,
    Retried,
    Trigger,
    Send,
    Stream,
    Write,
}

impl Kind {
    fn any(random: &mut SmallRng) -> Self {
        match random.random_range(0..100) {
            0..50 => Self::Call,
            50..65 => Self::Retried,
            65..75 => Self::Trigger,
            75..85 => Self::Send,
            85..95 => Self::Stream,
            _ => Self::Write,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Retried => "retried",
            Self::Trigger => "trigger",
            Self::Send => "send",
            Self::Stream => "stream",
            Self::Write => "write",
        }
    }
}

/// A process of its own for the mesh: a connection, and requests on it.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) mesh: AgentMesh,
    pub(crate) index: u64,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) starvation: Starvation,
}

impl Caller {
    /// Sends requests for `duration`, and waits until all have ended. Returns the number of those that were due, but
    /// not sent.
    pub(crate) async fn run(self, seed: u64, duration: Duration) -> u64 {
        let mut random = SmallRng::seed_from_u64(seed ^ (self.index + 1));
        let in_flight = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
        let mut requests = JoinSet::new();
        let mut interval = interval(INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (start, mut not_sent) = (Instant::now(), 0);
        for count in 0.. {
            interval.tick().await;
            if start.elapsed() > duration {
                break;
            }
            while requests.try_join_next().is_some() {}
            let kind = Kind::any(&mut random);
            let deadline = Duration::from_millis(random.random_range(2000..8000));
            let Ok(permit) = in_flight.clone().try_acquire_owned() else {
                not_sent += 1;
                continue;
            };
            let caller = self.clone();
            let number = self.index << 32 | count;
            requests.spawn(async move {
                caller.request(kind, number, deadline).await;
                drop(permit);
            });
        }
        while let Some(ended) = requests.join_next().await {
            ended.unwrap();
        }
        not_sent
    }

    /// Sends one request, and checks its end.
    async fn request(&self, kind: Kind, number: u64, deadline: Duration) {
        let deadline = match kind {
            Kind::Write => WRITE_DEADLINE,
            _ => deadline,
        };
        let (began, starved) = (Instant::now(), self.starvation.total());
        let result = timeout(deadline + HANG_TIMEOUT, self.result(kind, number, deadline)).await;
        let took = began.elapsed();
        let starved = self.starvation.total() - starved;
        let name = kind.name();
        let Ok(result) = result else {
            let text = format!("{name} {number} has not ended {took:?} after its start");
            return self.ledger.violation(text);
        };
        if took > deadline + TOLERANCE + starved {
            self.ledger.violation(format_args!(
                "{name} {number} ended after {took:?}, its deadline was {deadline:?}: {result:?}"
            ));
        }
        self.ledger.outcome(name, &result);
        match kind {
            Kind::Write if result.is_ok() => self.ledger.written(key(number), began),
            Kind::Write => {}
            _ => self
                .ledger
                .ended(number, matches!(kind, Kind::Retried), result.is_ok()),
        }
    }

    async fn result(&self, kind: Kind, number: u64, deadline: Duration) -> Result<(), Error> {
        let header = number.to_string();
        let small = number % 1_000_000;
        let expect = |name: &str, reply: u64, expected: u64| {
            if reply != expected {
                self.ledger.violation(format_args!(
                    "{name} {number} has the reply {reply} in place of {expected}"
                ));
            }
        };
        match kind {
            Kind::Call => {
                let call = self.mesh.call::<u64>("double", small);
                let reply = call.timeout(deadline).header(NUMBER, header).await?;
                expect("call", reply, small * 2);
            }
            Kind::Retried => {
                let retry = Retry::attempts(4).attempt_timeout(Duration::from_secs(1));
                let call = self.mesh.call::<u64>("square", small).retry(retry);
                let reply = call.timeout(deadline).header(NUMBER, header).await?;
                expect("retried call", reply, small * small);
            }
            Kind::Trigger => {
                let call = self.mesh.call::<u64>("stamp", ());
                let reply = call.timeout(deadline).header(NUMBER, header).await?;
                expect("trigger", reply, number);
            }
            Kind::Send => {
                let reply = self.send(number, small, deadline).await?;
                expect("send", reply, small * 2);
            }
            Kind::Stream => self.stream(number, small, deadline).await?,
            Kind::Write => {
                self.mesh.kv().put(key(number), header).await?;
            }
        }
        Ok(())
    }

    /// Sends a request with callbacks. Exactly one of them must run.
    async fn send(&self, number: u64, small: u64, deadline: Duration) -> Result<u64, Error> {
        let (replied, mut outcomes) = mpsc::unbounded_channel();
        let failed = replied.clone();
        let send = self.mesh.send("double", small).timeout(deadline);
        let send = send.header(NUMBER, number.to_string());
        let send = send.on_reply(move |reply: u64| async move { replied.send(Ok(reply)).unwrap() });
        let send = send.on_error(move |error| async move { failed.send(Err(error)).unwrap() });
        let sent = send.await;
        let outcome = outcomes.recv().await;
        let more = outcomes.recv().await;
        match (sent, outcome, more) {
            (Ok(()), Some(outcome), None) => outcome,
            (Err(error), None, None) => Err(error),
            (sent, outcome, more) => {
                self.ledger.violation(format_args!(
                    "send {number} returned {sent:?}; its callbacks ran with {outcome:?}, {more:?}"
                ));
                sent.map(|()| small * 2)
            }
        }
    }

    /// Reads a stream, which must have all its chunks, or end with an error.
    async fn stream(&self, number: u64, small: u64, deadline: Duration) -> Result<(), Error> {
        let stream = self.mesh.stream::<u64>("count", small).timeout(deadline);
        let mut received = stream.header(NUMBER, number.to_string()).await?;
        let mut next = 0;
        while let Some(chunk) = received.next().await {
            match chunk {
                Ok(chunk) if chunk == next => next += 1,
                Ok(chunk) => {
                    self.ledger.violation(format_args!(
                        "stream {number} has chunk {chunk} in place of {next}"
                    ));
                    next = chunk + 1;
                }
                Err(error) => {
                    if let Some(more) = received.next().await {
                        self.ledger.violation(format_args!(
                            "stream {number} goes on after its error, with {more:?}"
                        ));
                    }
                    return Err(error);
                }
            }
        }
        if next != chunks(small) {
            self.ledger.violation(format_args!(
                "stream {number} ended as complete after {next} of {} chunks",
                chunks(small)
            ));
        }
        Ok(())
    }
}

fn key(number: u64) -> String {
    format!("chaos.{}.{}", number >> 32, number & 0xffff_ffff)
}
