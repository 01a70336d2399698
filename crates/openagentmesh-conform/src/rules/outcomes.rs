//! Caller: the treatment of replies, as the caller reports it.

use crate::rule::rules;

rules! {
    REPLY Required "outcome-reply" "The caller returns the output, and ignores unknown headers" "calls.md#the-reply"
    ERROR Required "outcome-error" "The caller raises an error with its code, also with an unknown one" "errors.md#codes"
    HEADER_CASE Required "outcome-header-case" "Header names of replies are read without regard to case" "messages.md#headers"
    STREAM Required "outcome-stream" "The caller returns all chunks until the end marker" "streams.md#chunks"
    GAP Required "outcome-gap" "A gap in the numbers of chunks is chunk_sequence_error" "streams.md#chunks"
    STREAM_ERROR Required "outcome-stream-error" "The caller raises the error that ends a stream" "streams.md#errors"
    EVENTS Required "outcome-events" "The caller returns the events of a publisher" "events.md#subscriptions"
    ABSENT Required "outcome-absent" "An agent without a host is not_available" "errors.md#agents-without-a-host"
    SLOW Extension "outcome-slow" "The caller does not take a probe for a reply" "cancellation.md#probes"
}
