//! The value that is typed or piped for a key.

use openagentmesh::ErrorCode;

use super::TOO_LARGE;
use crate::failure::Failure;
use crate::stdin;

/// In bytes. No server carries more, so nothing longer need be read.
const LONGEST: u64 = 64 * 1024 * 1024;

/// The `argument`, or what is piped, byte by byte, if it is absent or `-`.
pub(super) async fn read(argument: Option<String>) -> Result<Vec<u8>, Failure> {
    match argument.as_deref() {
        Some(text) if text != "-" => return Ok(text.into()),
        None if stdin::is_terminal() => {
            return Err(Failure::usage("there is no value")
                .hint("type it behind the key, pipe it in, or type - and end it with Ctrl-D"));
        }
        _ => {}
    }
    let value = stdin::bytes(LONGEST + 1).await?;
    if value.len() as u64 > LONGEST {
        let message = format!("the value has more than {LONGEST} bytes, which no server carries");
        return Err(Failure::mesh(ErrorCode::PayloadTooLarge, message).hint(TOO_LARGE));
    }
    Ok(value)
}
