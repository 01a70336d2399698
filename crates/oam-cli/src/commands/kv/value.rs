//! The value argument of a command that writes.

use super::failure::too_large;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::stdin;

/// No server accepts a message above this limit.
const MAX_VALUE_BYTES: u64 = 64 * 1024 * 1024;

/// Returns the `argument`, or the bytes of stdin if it is absent or `-`.
pub(super) async fn read(argument: Option<String>, printer: &Printer) -> Result<Vec<u8>, Failure> {
    match argument.as_deref() {
        Some(text) if text != "-" => return Ok(text.into()),
        None if stdin::is_terminal() => {
            return Err(Failure::usage("missing value")
                .hint("add it after the key, pipe it in, or type - and end it with Ctrl-D"));
        }
        _ => {}
    }
    let value = stdin::bytes(MAX_VALUE_BYTES + 1, printer).await?;
    if value.len() as u64 > MAX_VALUE_BYTES {
        return Err(too_large(format!(
            "the value is too large: no server accepts more than {MAX_VALUE_BYTES} bytes"
        )));
    }
    Ok(value)
}
