//! Host: calls, replies and sends.

use crate::rule::rules;

rules! {
    QUEUE_GROUP Required "queue-group" "Hosts share the requests in the queue group of the agent" "names.md#queue-groups"
    ANSWERED Required "call-answered" "A valid request is answered with an output" "calls.md#the-reply"
    ONCE Required "reply-once" "A request is answered once" "calls.md#the-reply"
    STATUS Required "reply-status" "A reply has the status ok" "calls.md#the-reply"
    REQUEST_ID Required "reply-request-id" "A reply has the id of the request" "calls.md#the-reply"
    SOURCE Required "reply-source" "A reply has the name of the agent" "calls.md#the-reply"
    SPELLING Required "reply-header-spelling" "Header names are spelled exactly" "messages.md#headers"
    BODY Required "reply-body" "The body of a reply is JSON" "messages.md#bodies"
    OUTPUT Required "reply-output-schema" "The output fits the output schema" "catalog.md#schemas"
    INSTANCE Extension "reply-instance-id" "A reply has the id of the instance" "liveness.md#instance-records"
    PLAIN Required "call-plain-request" "A request without headers is answered" "calls.md#the-request"
    UNKNOWN_HEADERS Required "call-unknown-headers" "Unknown headers are ignored" "messages.md#headers"
    HEADER_CASE Required "call-header-case" "Header names are read without regard to case" "messages.md#headers"
    OPAQUE_ID Required "call-opaque-id" "The id of a request may be any token" "messages.md#request-ids"
    INVALID_HEADER Required "call-invalid-header" "A request with an invalid header value is answered" "messages.md#headers"
    NO_REPLY_SUBJECT Required "send-without-reply" "A request without a reply subject runs" "calls.md#sends"
    RESULTS Required "send-results" "The reply to a send arrives on its results subject" "calls.md#sends"
    REPLY_TO Required "send-reply-to" "The reply to a send arrives on the subject that its caller chose" "calls.md#sends"
    LATE Extension "send-late-subscriber" "The reply reaches a caller that subscribes late to its results subject" "calls.md#late-subscribers"
    RESERVED_REPLY Required "reply-reserved-subject" "A host does not reply to reserved subjects" "calls.md#reply-subjects"
    EMPTY Required "input-empty" "An empty body stands for no input" "messages.md#bodies"
}
