//! Errors of keys and patterns, with hints.

use openagentmesh::{Error, ErrorCode};

use crate::failure::Failure;
use crate::shell;

const TOO_LARGE_HINT: &str = "oam workspace put NAME FILE shares content of any size";

/// The key has no value.
pub(super) fn not_found(key: &str) -> Failure {
    Failure::mesh(ErrorCode::NotFound, format!("key '{key}' has no value"))
        .hint("oam kv list lists the keys with a value")
}

/// The key already has a value.
pub(super) fn key_exists(key: &str) -> Failure {
    let message = format!("key '{key}' already has a value");
    Failure::mesh(ErrorCode::KvKeyExists, message)
        .hint(format!("oam kv put {} VALUE replaces it", shell::word(key)))
}

/// An error of a request for one key.
pub(super) fn key_failure(error: Error) -> Failure {
    match error.code() {
        ErrorCode::InvalidInput => {
            Failure::from(error).hint("dots separate the segments of a key, as in limits.retries")
        }
        ErrorCode::PayloadTooLarge => Failure::from(error).hint(TOO_LARGE_HINT),
        _ => error.into(),
    }
}

/// An error of a request for the keys that match a pattern.
pub(super) fn pattern_failure(error: Error) -> Failure {
    match error.code() {
        ErrorCode::InvalidInput => Failure::from(error)
            .hint("* matches one segment, > all that follow, as in 'limits.*' or 'limits.>'"),
        _ => error.into(),
    }
}
