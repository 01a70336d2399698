//! Checks the events of a publisher.

use async_nats::Message;
use openagentmesh_protocol::{header, subject};
use tokio::time::Instant;

use super::exchange::{Host, is_error};
use super::replies::{instance_id, shown};
use super::streams::body_problem;
use super::target::Target;
use crate::error::Error;
use crate::rules::events as rules;
use crate::wire::{header as header_of, next_until};

/// The number of events that are read.
const MAX_EVENTS: usize = 10;
/// The number of events that a verdict needs.
const MIN_EVENTS: usize = 2;

/// Checks the events that arrive within the timeout of an answer. Returns the id of the instance that publishes them.
pub(super) async fn check(host: Host<'_>, target: &Target) -> Result<Option<String>, Error> {
    let mut messages = host.mesh.subscribe(subject::events(host.name)).await?;
    let until = Instant::now() + host.settings.answer_timeout;
    let mut events = Vec::new();
    while events.len() < MAX_EVENTS
        && let Some(event) = next_until(&mut messages, until).await
    {
        events.push(event);
    }
    if events.len() < MIN_EVENTS {
        let seconds = host.settings.answer_timeout.as_secs_f32();
        let reason = format!(
            "{} events arrived within {seconds} s, and the rules need {MIN_EVENTS}",
            events.len()
        );
        host.verdicts.skip_all(rules::TABLE, reason.as_str());
        return Ok(None);
    }
    for event in &events {
        host.verdicts.judge(rules::INSTANCE, instance_id(event));
        let end = header_of(event, header::STREAM_END);
        let wrong = format!(
            "wrong {}: expected 'true' or 'false', got {}",
            header::STREAM_END,
            shown(end)
        );
        host.verdicts.require(
            rules::END_FLAG,
            matches!(end, Some("true" | "false")),
            wrong,
        );
        if end != Some("true") && !is_error(event) {
            host.verdicts.judge(
                rules::BODY,
                body_problem(event, target.chunk_schema()).map_or(Ok(()), Err),
            );
        }
    }
    // A publisher that starts again begins with 0.
    let mut gap = None;
    for pair in events.windows(2) {
        let (first, second) = (number(&pair[0]), number(&pair[1]));
        let is_next =
            second == Some(0) || first.is_some() && second == first.map(|first| first + 1);
        if !is_next && !is_error(&pair[1]) {
            gap = gap.or(Some(format!(
                "gap: {} follows {}",
                shown(header_of(&pair[1], header::STREAM_SEQ)),
                shown(header_of(&pair[0], header::STREAM_SEQ))
            )));
        }
    }
    host.verdicts
        .judge(rules::SEQUENCE, gap.map_or(Ok(()), Err));
    Ok(header_of(&events[0], header::INSTANCE_ID).map(str::to_owned))
}

fn number(event: &Message) -> Option<u64> {
    header_of(event, header::STREAM_SEQ)?.parse().ok()
}
