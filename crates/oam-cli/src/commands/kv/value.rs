//! The value argument of a command that writes.

use crate::cli::KvValue;
use crate::failure::Failure;
use crate::input::Source;
use crate::printer::Printer;
use crate::stdin;

/// The bytes to be stored: those of the argument, of a file, or of stdin.
pub(super) async fn read(argument: KvValue, printer: &Printer) -> Result<Vec<u8>, Failure> {
    let source = match &argument.text {
        Some(_) if argument.literal => None,
        Some(text) => Source::of_argument(text)
            .map_err(|failure| failure.hint("--literal stores the value as it stands"))?,
        None if stdin::is_terminal() => {
            return Err(Failure::usage("missing value")
                .hint("add it after the key, @FILE, or - for stdin, which Ctrl-D ends"));
        }
        None => Some(Source::Stdin),
    };
    match source {
        None => Ok(argument.text.unwrap_or_default().into_bytes()),
        Some(source) => {
            let read = source.read("the value", printer).await;
            read.map_err(|failure| match source {
                Source::File(_) if failure.hint.is_none() => {
                    failure.hint("@ reads a file; --literal stores the value as it stands")
                }
                _ => failure,
            })
        }
    }
}
