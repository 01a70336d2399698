pub(crate) mod create;
pub(crate) mod delete;
mod entry;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod put;
mod value;
pub(crate) mod watch;

use openagentmesh::{Error, ErrorCode};
use serde::Serialize;

use crate::failure::Failure;
use crate::printer::Printer;
use crate::shell;

/// The key has no value.
fn not_found(key: &str) -> Failure {
    Failure::mesh(ErrorCode::NotFound, format!("key '{key}' has no value"))
        .hint("oam kv list lists the keys that have one")
}

/// What went wrong with one key.
fn key_failure(error: Error) -> Failure {
    match error.code() {
        ErrorCode::InvalidInput => {
            Failure::from(error).hint("dots part a key into segments, as in limits.retries")
        }
        ErrorCode::PayloadTooLarge => Failure::from(error).hint(TOO_LARGE),
        _ => error.into(),
    }
}

/// What to do with a value that is larger than what the server carries.
const TOO_LARGE: &str = "oam workspace put NAME FILE shares what is of any size";

/// What went wrong with the keys that match a pattern.
fn pattern_failure(error: Error) -> Failure {
    match error.code() {
        ErrorCode::InvalidInput => Failure::from(error).hint(
            "* stands for one segment, > for all that follow, as in 'limits.*' or 'limits.>'",
        ),
        _ => error.into(),
    }
}

/// Tells that `key` has a value, at `revision`.
fn written(key: &str, revision: u64, as_json: bool, printer: &Printer) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Written<'k> {
        key: &'k str,
        revision: u64,
    }

    if as_json {
        return printer.json(&Written { key, revision });
    }
    printer.line(format!("put {key}, revision {revision}"));
    Ok(())
}

/// The command that does it all the same.
fn replacing(key: &str) -> String {
    format!("oam kv put {} VALUE replaces it", shell::word(key))
}
