//! The problems of stored values that are malformed.

use openagentmesh_protocol::ErrorCode;

use crate::error::{BoxError, Error};

/// The length of a cause, in characters: the text of others in it can have several megabytes.
const MAX_CAUSE_CHARS: usize = 200;

/// The error of a malformed value: `what` is malformed because of `cause`.
pub(super) fn malformed(what: &str, cause: impl Into<BoxError>, remedy: &str) -> Error {
    let cause: BoxError = cause.into();
    let text = cause.to_string();
    let shown = match text.char_indices().nth(MAX_CAUSE_CHARS) {
        None => &*text,
        Some((end, _)) => &text[..end],
    };
    let more = if shown.len() < text.len() { "…" } else { "" };
    let message = format!("malformed {what}: {shown}{more}; {remedy}");
    let error = Error::raised(ErrorCode::StorageError, message);
    if more.is_empty() {
        error.with_source(cause)
    } else {
        error
    }
}
