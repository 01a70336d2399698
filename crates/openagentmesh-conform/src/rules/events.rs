//! Host: events of a publisher.

use crate::rule::rules;

rules! {
    SEQUENCE Required "event-sequence" "Events are numbered without a gap" "events.md#events"
    END_FLAG Required "event-end-flag" "Each event says whether it ends the events" "events.md#events"
    BODY Required "event-schema" "Each event is JSON and fits the chunk schema" "events.md#events"
    INSTANCE Extension "event-instance-id" "Each event has the id of the instance" "liveness.md#instance-records"
}
