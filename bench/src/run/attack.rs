//! Calls while another client sends malformed requests to the same agent.

use std::convert::Infallible;
use std::time::Duration;

use async_nats::{Client, HeaderMap};
use tokio::time::{MissedTickBehavior, interval};

use super::measured::{Measured, unsupported};
use super::runner::Runner;
use super::tasks::values;
use crate::error::Result;
use crate::measure::{Contender, Measure, Task};

/// Messages after which an attacker without a pace waits for the host: the server would close the connection of a host
/// that lags by 64 MiB.
const AHEAD: u32 = 100;
/// A subject without a subscriber.
const REPLY: &str = "_INBOX.attacker.replies";
/// An input that the agents accept.
const BODY: &str = "\"a\"";

#[derive(Clone, Copy)]
enum Pace {
    /// So many messages a second, at even intervals.
    Steady(u32),
    /// As many as the host reads.
    Fast,
}

impl Runner {
    /// The p99 of calls: without an attacker, with one that sends each of the `rates` in messages a second, and with one that
    /// sends as many as the host reads.
    pub(super) async fn attacked(
        &mut self,
        contender: Contender,
        calls: u32,
        rates: &[u32],
    ) -> Result<Measured> {
        let warm_up = self.messages(calls, 0);
        let calls = self.size.messages(calls);
        let attacker = Attacker {
            client: async_nats::connect(self.url_of_pair(contender).await?).await?,
            subject: match contender {
                Contender::Ours | Contender::Other => "mesh.agent.bench.echo",
                Contender::RawWithHeaders => "mesh.agent.raw.echo",
                _ => return Err(unsupported(contender)),
            },
        };
        let pair = self.pair(contender).await?;
        let task = |messages| Task {
            contender,
            measure: Measure::Latency,
            messages,
            in_flight: 1,
        };
        pair.measure(task(warm_up)).await?;
        let mut p99 = Vec::new();
        let steady = rates.iter().map(|rate| Some(Pace::Steady(*rate)));
        let paces = [None].into_iter().chain(steady).chain([Some(Pace::Fast)]);
        for pace in paces {
            let measured = pair.measure(task(calls));
            let outcome = match pace {
                None => measured.await?,
                Some(pace) => tokio::select! {
                    outcome = measured => outcome?,
                    failed = attacker.attack(pace) => match failed? {},
                },
            };
            p99.extend(values(Measure::Latency, outcome).pop());
        }
        Ok(Measured::new(calls, p99))
    }
}

struct Attacker {
    client: Client,
    subject: &'static str,
}

impl Attacker {
    /// Sends until it is dropped.
    async fn attack(&self, pace: Pace) -> Result<Infallible> {
        let messages = malformed();
        let mut ticks = match pace {
            Pace::Steady(rate) => Some(interval(Duration::from_secs(1) / rate)),
            Pace::Fast => None,
        };
        if let Some(ticks) = &mut ticks {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        }
        for (number, (headers, body)) in (1_u32..).zip(messages.iter().cycle()) {
            let sent = self.client.publish_with_reply_and_headers(
                self.subject,
                REPLY,
                headers.clone(),
                (*body).into(),
            );
            sent.await?;
            match &mut ticks {
                Some(ticks) => {
                    self.client.flush().await?;
                    ticks.tick().await;
                }
                None if number.is_multiple_of(AHEAD) => {
                    let headers = with("X-Mesh-Request-Id", "a");
                    let request =
                        self.client
                            .request_with_headers(self.subject, headers, BODY.into());
                    request.await?;
                }
                _ => {}
            }
        }
        Err("the numbers of the messages have ended".into())
    }
}

/// Requests that a host refuses, each for another reason.
fn malformed() -> [(HeaderMap, &'static str); 6] {
    let id = || with("X-Mesh-Request-Id", "a");
    let mut stream = with("X-Mesh-Stream", "true");
    stream.insert("X-Mesh-Request-Id", "a.*.>");
    let mut timeout = id();
    timeout.insert("X-Mesh-Timeout-Ms", "-1");
    [
        (HeaderMap::new(), BODY),
        (id(), "{\"text\": [1, 2,,"),
        (id(), "{\"a\": 1}"),
        (id(), ""),
        (stream, BODY),
        (timeout, BODY),
    ]
}

fn with(name: &'static str, value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(name, value);
    headers
}
