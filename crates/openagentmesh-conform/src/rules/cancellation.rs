//! Host: deadlines, probes and cancel messages.

use crate::rule::rules;

rules! {
    PASSED Extension "deadline-passed" "A request whose deadline has passed is answered with timeout" "cancellation.md#deadlines"
    RUNNING Extension "deadline-running" "A request that runs at its deadline is answered with timeout" "cancellation.md#deadlines"
    PROBED Extension "probe-sent" "A request that takes long is probed" "cancellation.md#probes"
    PROBE_HEADERS Extension "probe-headers" "A probe names the request and the instance, and has a reply subject" "cancellation.md#probes"
    UNASKED Extension "probe-asked-only" "A caller that does not answer probes receives none" "cancellation.md#probes"
    PROBE_CANCEL Extension "probe-cancel" "A cancel message in answer to a probe ends the request" "cancellation.md#cancel-messages"
}
