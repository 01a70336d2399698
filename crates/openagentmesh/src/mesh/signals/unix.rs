//! The signals of Unix.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{self, SignalKind, signal};

/// Ctrl-C and SIGTERM.
pub(super) struct Source {
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl Source {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal. The process always ends by itself.
    pub(super) async fn next(&mut self) -> Option<Duration> {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        None
    }
}
