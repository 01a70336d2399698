//! Standard input.

use std::io::{self, IsTerminal, Read};

use crate::failure::Failure;

/// Whether stdin is a terminal. A command then reads it only on request.
pub(crate) fn is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// All of stdin, as UTF-8 text.
pub(crate) async fn text() -> Result<String, Failure> {
    read(|| {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    })
    .await
}

/// The first bytes of stdin, at most `max_bytes`.
pub(crate) async fn bytes(max_bytes: u64) -> Result<Vec<u8>, Failure> {
    read(move || {
        let mut bytes = Vec::new();
        let mut stdin = io::stdin().lock().take(max_bytes);
        stdin.read_to_end(&mut bytes).map(|_| bytes)
    })
    .await
}

async fn read<T: Send + 'static>(
    reading: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(reading).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => Err(Failure::usage(format!("cannot read stdin: {error}"))),
        Err(error) => Err(Failure::usage(format!(
            "reading stdin was aborted: {error}"
        ))),
    }
}
