//! Standard input.

use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use crate::failure::Failure;
use crate::printer::Printer;

/// A longer wait for stdin is reported.
const NOTE_AFTER: Duration = Duration::from_secs(1);

/// Whether stdin is a terminal. A command then reads it only on request.
pub(crate) fn is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// The first bytes of stdin, at most `max_bytes`.
pub(crate) async fn bytes(max_bytes: u64, printer: &Printer) -> Result<Vec<u8>, Failure> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        let mut stdin = io::stdin().lock().take(max_bytes);
        stdin.read_to_end(&mut bytes).map(|_| bytes)
    });
    match with_note(printer, || true, reading).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => Err(Failure::usage(format!("cannot read stdin: {error}"))),
        Err(error) => Err(Failure::usage(format!(
            "reading stdin was aborted: {error}"
        ))),
    }
}

/// Runs `work`, which reads stdin. Prints a note if the input of another program is still awaited
/// after [`NOTE_AFTER`], according to `is_waiting`.
pub(crate) async fn with_note<T>(
    printer: &Printer,
    is_waiting: impl Fn() -> bool,
    work: impl Future<Output = T>,
) -> T {
    let mut work = std::pin::pin!(work);
    if !is_terminal()
        && let Ok(done) = tokio::time::timeout(NOTE_AFTER, work.as_mut()).await
    {
        return done;
    }
    if !is_terminal() && is_waiting() {
        printer.note("waiting for the end of stdin, which is the input; Ctrl-C ends the command");
    }
    work.await
}
