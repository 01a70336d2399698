//! Host: error replies.

use crate::rule::rules;

rules! {
    MALFORMED Required "input-malformed" "A body that is not JSON is answered with an error" "errors.md#invalid-input"
    NESTED Required "input-nested" "A deeply nested body is answered with an error" "errors.md#invalid-input"
    VIOLATION Required "input-violation" "An input that fails the schema is answered with an error" "errors.md#invalid-input"
    INVALID_CODE Required "input-code" "The code for an invalid input is invalid_input" "errors.md#invalid-input"
    PROBLEMS Extension "input-problems" "The error for an invalid input lists each problem" "errors.md#invalid-input"
    MISMATCH Required "verb-mismatch" "A verb that does not fit is answered with invocation_mismatch" "errors.md#verbs"
    NOT_INVOCABLE Required "not-invocable" "An agent that is not invocable runs no requests" "errors.md#verbs"
    HEADERS Required "error-headers" "An error has the status error and the id of the request" "errors.md#error-replies"
    NO_SOURCE Required "error-without-source" "An error does not name its source in a header" "errors.md#error-replies"
    OBJECT Required "error-object" "The body of an error has all fields, each of its type" "errors.md#the-error-object"
    AGENT Required "error-agent" "The error object names the agent" "errors.md#the-error-object"
    ERROR_ID Required "error-request-id" "The error object has the id of the request" "errors.md#the-error-object"
    DEAD_LETTER Required "dead-letter" "A copy of each error is published to the dead letters" "errors.md#dead-letters"
}
