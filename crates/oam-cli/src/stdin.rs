//! What is piped into a command.

use std::io::{self, IsTerminal, Read};

use crate::failure::Failure;

/// Whether somebody types, so that nothing is to be expected unless it was asked for.
pub(crate) fn is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// All of it, as text.
pub(crate) async fn text() -> Result<String, Failure> {
    read(|| {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    })
    .await
}

/// The bytes of it, but no more than `longest`.
pub(crate) async fn bytes(longest: u64) -> Result<Vec<u8>, Failure> {
    read(move || {
        let mut bytes = Vec::new();
        let mut stdin = io::stdin().lock().take(longest);
        stdin.read_to_end(&mut bytes).map(|_| bytes)
    })
    .await
}

async fn read<T: Send + 'static>(
    reading: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(reading).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => Err(Failure::usage(format!("stdin cannot be read: {error}"))),
        Err(error) => Err(Failure::usage(format!("stdin was not read: {error}"))),
    }
}
