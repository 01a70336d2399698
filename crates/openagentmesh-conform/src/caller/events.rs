//! Publishes events to the subscribers of a caller.

use std::time::Duration;

use openagentmesh_protocol::header;
use serde_json::json;
use tokio::time::sleep;

use super::check::Check;
use super::streams::has_subscriber;
use crate::error::Error;
use crate::rules::requests as rules;
use crate::wire::Outgoing;

const SUBJECT: &str = "mesh.agent.conform.ticks.events";
const EVENT_INTERVAL: Duration = Duration::from_millis(100);

/// Publishes numbered events. Ends with an error only.
pub(super) async fn publish(check: &Check<'_>) -> Result<(), Error> {
    let mut number = 0_u64;
    loop {
        let event = Outgoing::to(SUBJECT)
            .header(header::STREAM_SEQ, number.to_string())
            .header(header::STREAM_END, "false")
            .header(header::INSTANCE_ID, check.instance.as_str())
            .body(json!(number).to_string());
        if has_subscriber(check, event).await? {
            check.verdicts.pass(rules::EVENTS);
        }
        number += 1;
        sleep(EVENT_INTERVAL).await;
    }
}
