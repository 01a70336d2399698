//! The input and output of a role.

use std::io::Write;

use serde::Serialize;
use tokio::sync::mpsc;

use crate::error::Result;

/// The lines of the input, read by a thread that keeps no process alive.
pub(super) fn input() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            let Ok(line) = line else { break };
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Writes an answer as one line.
pub(super) fn answer(value: &impl Serialize) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    serde_json::to_writer(&mut stdout, value)?;
    writeln!(stdout)?;
    stdout.flush()?;
    Ok(())
}
