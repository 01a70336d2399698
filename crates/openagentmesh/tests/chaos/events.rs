//! Events: published all the time, received in order, with every gap reported.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use openagentmesh::{Error, ErrorCode, Event, Events};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::agents::{NOTES, Note};
use crate::caller::Caller;

const PUBLISH_TIMEOUT: Duration = Duration::from_secs(2);
/// The limit of the start of a subscription.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(5);
/// The time that an operation may last beyond its limit.
const TOLERANCE: Duration = Duration::from_secs(1);
/// The prefix of the sources of notes that are callers.
const CALLER: &str = "caller-";
/// The pause between two attempts to subscribe.
const PAUSE: Duration = Duration::from_millis(200);

/// The numbers that the next events of each source have, and whether a gap before the next event was reported.
#[derive(Default)]
struct Sources(HashMap<String, (u64, bool)>);

impl Sources {
    fn report_gap(&mut self) {
        for (_, gap) in self.0.values_mut() {
            *gap = true;
        }
    }

    /// Returns the problem of an event, if it has one.
    ///
    /// The notes of a host may have gaps without a report: the server closes the connection of a host that was frozen,
    /// and takes its last notes with it. The connections of subscribers do not show that.
    fn observe(&mut self, note: &Note, is_note: bool) -> Option<String> {
        let Note { source, number } = note;
        let entry = self.0.entry(source.clone()).or_insert((*number, true));
        let (next, gap) = *entry;
        *entry = (number + 1, false);
        // A publisher whose publish has failed repeats the number.
        let is_next = *number == next || (is_note && number + 1 == next);
        let is_reported = *number > next && (gap || (is_note && !source.starts_with(CALLER)));
        (!is_next && !is_reported)
            .then(|| format!("event {number} of {source} arrived in place of {next}, gap: {gap}"))
    }
}

impl Caller {
    /// Publishes a note every 20 ms, until `stop`. A number that was published is not repeated.
    pub(crate) async fn publish(self, stop: CancellationToken) {
        let mut number = 0;
        while !stop.is_cancelled() {
            sleep(Duration::from_millis(20)).await;
            let source = format!("{CALLER}{}", self.index);
            let note = Note { source, number };
            let (began, starved) = (Instant::now(), self.starvation.total());
            let publish = self.mesh.publish(NOTES, note).timeout(PUBLISH_TIMEOUT);
            let result = publish.await;
            self.check_time("publish", began, starved, PUBLISH_TIMEOUT, &result);
            self.ledger.outcome("publish", &result);
            number += u64::from(result.is_ok());
        }
    }

    /// Receives the events of agent `name` until `stop`, and subscribes again when they end.
    pub(crate) async fn follow(self, name: &'static str, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let (began, starved) = (Instant::now(), self.starvation.total());
            let events = self.mesh.subscribe::<Note>(name).await;
            let result = events.as_ref().map(|_| ()).map_err(copied);
            self.check_time("subscribe", began, starved, SUBSCRIBE_TIMEOUT, &result);
            self.ledger.outcome("subscribe", &result);
            if let Ok(events) = events {
                self.receive(name, events, false, &stop).await;
            }
            let _ = stop.run_until_cancelled(sleep(PAUSE)).await;
        }
    }

    /// Receives the notes of all callers until `stop`.
    pub(crate) async fn follow_notes(self, stop: CancellationToken) {
        let events = self.mesh.subscribe_subject::<Note>(NOTES).await.unwrap();
        self.receive(NOTES, events, true, &stop).await;
        if !stop.is_cancelled() {
            self.ledger
                .violation("the events of a subject ended with the connection open");
        }
    }

    async fn receive(
        &self,
        name: &str,
        mut events: Events<Note>,
        is_note: bool,
        stop: &CancellationToken,
    ) {
        let mut sources = Sources::default();
        let (mut received, mut gaps) = (0, 0);
        while let Some(Some(event)) = stop.run_until_cancelled(events.next()).await {
            match event {
                Ok(Event { data, .. }) => {
                    received += 1;
                    if let Some(problem) = sources.observe(&data, is_note) {
                        let caller = self.index;
                        self.ledger
                            .violation(format_args!("caller {caller}, {name}: {problem}"));
                    }
                }
                Err(error) if error.code() == &ErrorCode::ChunkSequenceError => {
                    gaps += 1;
                    sources.report_gap();
                }
                Err(error) => self
                    .ledger
                    .violation(format_args!("events of {name} failed: {error:?}")),
            }
        }
        self.ledger.note(format_args!(
            "caller {}: {received} events of {name}, {gaps} gaps",
            self.index
        ));
    }

    fn check_time(
        &self,
        kind: &str,
        began: Instant,
        starved: Duration,
        limit: Duration,
        result: &Result<(), Error>,
    ) {
        let took = began.elapsed();
        if took > limit + TOLERANCE + (self.starvation.total() - starved) {
            self.ledger.violation(format_args!(
                "{kind} ended after {took:?}, its limit was {limit:?}: {result:?}"
            ));
        }
    }
}

fn copied(error: &Error) -> Error {
    Error::new(error.code().clone(), error.message())
}
