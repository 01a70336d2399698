//! Host: streams.

use crate::rule::rules;

rules! {
    CHUNKS Required "stream-chunks" "Chunks arrive on the subject of the request" "streams.md#chunks"
    SEQUENCE Required "stream-sequence" "Chunks are numbered from 0 without a gap" "streams.md#chunks"
    END_FLAG Required "stream-end-flag" "Each chunk says that it does not end the stream" "streams.md#chunks"
    CHUNK_ID Required "stream-request-id" "Each chunk has the id of the request" "streams.md#chunks"
    CHUNK_BODY Required "stream-chunk-schema" "Each chunk is JSON and fits the chunk schema" "streams.md#chunks"
    END_MARKER Required "stream-end-marker" "The end marker is empty and has the next number" "streams.md#the-end"
    SILENT Required "stream-silent-after-end" "The end marker is the last message" "streams.md#the-end"
    STREAM_ERROR Required "stream-error" "An error ends the stream, without a number" "streams.md#errors"
    STREAM_INSTANCE Extension "stream-instance-id" "Each chunk has the id of the instance" "liveness.md#instance-records"
    REPLY_SUBJECT Extension "stream-reply-subject" "Each chunk has a reply subject for signals" "streams.md#flow-control"
    CREDIT Extension "stream-credit" "The host sends no more chunks than the consumer has asked for" "streams.md#flow-control"
    CANCEL Extension "stream-cancel" "A cancel message ends the stream" "cancellation.md#cancel-messages"
    NO_INTEREST Extension "stream-no-interest" "A stream without a subscriber ends" "cancellation.md#lost-consumers"
}
