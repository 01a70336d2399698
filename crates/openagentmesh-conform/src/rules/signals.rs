//! Caller: signals to the host.

use crate::rule::rules;

rules! {
    DROP Required "drop-unsubscribes" "The caller unsubscribes from a stream that it drops" "cancellation.md#lost-consumers"
    DROP_CANCEL Extension "drop-cancels" "The caller cancels a stream that it drops" "cancellation.md#cancel-messages"
    CREDIT Extension "credit-returned" "The caller gives credit for further chunks" "streams.md#flow-control"
    WAITING Extension "probe-question" "A caller that waits answers a question whether it does" "cancellation.md#probes"
    GONE Extension "probe-cancelled" "A caller that no longer waits cancels the request" "cancellation.md#cancel-messages"
}
