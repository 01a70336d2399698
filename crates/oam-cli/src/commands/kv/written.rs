//! The result of a command that writes a value.

use serde::Serialize;

use crate::failure::Failure;
use crate::printer::Printer;

/// Prints `key` and the `revision` of its new value.
pub(super) fn print(key: &str, revision: u64, printer: &Printer) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Written<'k> {
        key: &'k str,
        revision: u64,
    }

    if printer.is_json() {
        return printer.json(&Written { key, revision });
    }
    printer.line(format!("put {key}, revision {revision}"))
}
