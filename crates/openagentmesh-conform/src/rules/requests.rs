//! Caller: requests.

use crate::rule::rules;

rules! {
    ID Required "request-id" "A request has an id with a UUID, of 32 hexadecimal digits" "messages.md#request-ids"
    UNIQUE Required "request-id-unique" "Each request has an id of its own" "messages.md#request-ids"
    SPELLING Required "request-header-spelling" "Header names are spelled exactly" "messages.md#headers"
    BODY Required "request-body" "The body of a request is its input as JSON" "messages.md#bodies"
    REPLY Required "request-reply-subject" "A call has a reply subject, which is not reserved" "calls.md#the-request"
    SUBSCRIBED Required "request-subscribed" "The caller subscribes to the reply before the request" "calls.md#the-request"
    NO_STREAM Required "request-call-flag" "A call does not ask for a stream" "calls.md#the-request"
    STREAM Required "request-stream-flag" "A request for a stream says so" "streams.md#the-request"
    STREAM_SUBSCRIBED Required "request-stream-subscribed" "The caller subscribes to the chunks before the request" "streams.md#the-request"
    SEND_TO Required "request-reply-to" "A send to a subject of its own names it in a header" "calls.md#sends"
    EVENTS Required "events-subscribed" "The caller subscribes to the events of a publisher" "events.md#subscriptions"
    INSTANCE Extension "request-instance-id" "A request has the id of the instance" "messages.md#headers"
    TIMEOUT Extension "request-timeout" "A call has the time that its caller waits" "cancellation.md#deadlines"
    PROBE Extension "request-probe" "A call says that its caller answers probes" "cancellation.md#probes"
    INBOX Extension "request-stream-inbox" "A request for a stream has a reply subject" "streams.md#the-request"
    CREDIT Extension "request-credit" "A request for a stream has credit for chunks" "streams.md#flow-control"
}
