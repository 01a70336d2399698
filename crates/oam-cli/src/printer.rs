//! Everything that is printed: results to stdout, everything else to stderr.

use std::io::{self, ErrorKind, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::failure::Failure;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();
/// What is looked at first.
pub(crate) const STRONG: Style = Style::new().bold();
/// What is there to be read last.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// Writes for people and for pipes: colours only where a terminal shows them.
pub(crate) struct Printer;

impl Printer {
    pub(crate) fn new() -> Self {
        Self
    }

    /// A line of the result.
    pub(crate) fn line(&self, text: impl AsRef<str>) {
        self.out(text.as_ref());
    }

    /// A result as JSON over several lines.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::here(format!("the result cannot be JSON: {error}")))?;
        self.out(&text);
        Ok(())
    }

    /// A title of a part of the result.
    pub(crate) fn title(&self, text: &str) {
        self.out(&format!("{STRONG}{text}{STRONG:#}"));
    }

    /// A command to try and what it does.
    pub(crate) fn command(&self, command: &str, effect: &str) {
        self.out(&format!(
            "  {HINT}{command}{HINT:#}  {FAINT}{effect}{FAINT:#}"
        ));
    }

    /// Something that is no result: it does not disturb a pipe.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        self.err(text.as_ref());
    }

    /// What a person at a terminal may wonder about; a script does not.
    pub(crate) fn hint_for_people(&self, text: &str) {
        if io::stdout().is_terminal() {
            self.note(format!("{FAINT}{text}{FAINT:#}"));
        }
    }

    /// Waits until nobody can read the results any more, as when `head` has enough. A terminal and a
    /// file always have a reader. Cancel-safe.
    #[cfg(unix)]
    pub(crate) async fn reader_gone(&self) {
        use std::os::fd::AsFd;

        use tokio::io::Interest;
        use tokio::net::unix::pipe::Sender;

        let stdout = io::stdout();
        if !stdout.is_terminal()
            && let Ok(stdout) = stdout.as_fd().try_clone_to_owned()
            // Unchecked, because nothing is written through it: stdout stays as it is, blocking. What
            // cannot be watched, such as a file, is nothing that a reader leaves.
            && let Ok(stdout) = Sender::from_owned_fd_unchecked(stdout)
            && stdout.ready(Interest::ERROR).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }

    /// Where it cannot be told, the next write tells.
    #[cfg(not(unix))]
    pub(crate) async fn reader_gone(&self) {
        std::future::pending().await
    }

    /// What went wrong, with its code and what to do next.
    pub(crate) fn failure(&self, failure: &Failure) {
        let code = failure
            .code
            .as_ref()
            .map(|code| format!("[{code}]"))
            .unwrap_or_default();
        self.err(&format!("{ERROR}error{code}{ERROR:#}: {}", failure.message));
        for detail in &failure.details {
            self.err(&format!("  {detail}"));
        }
        if let Some(hint) = &failure.hint {
            self.err(&format!("  {HINT}hint{HINT:#}: {hint}"));
        }
    }

    fn out(&self, text: &str) {
        let written = writeln!(anstream::stdout().lock(), "{text}");
        leave_if_nobody_reads(written);
    }

    fn err(&self, text: &str) {
        let written = writeln!(anstream::stderr().lock(), "{text}");
        leave_if_nobody_reads(written);
    }
}

/// `oam … | head` closes the pipe when it has enough, which is no error.
fn leave_if_nobody_reads(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() == ErrorKind::BrokenPipe
    {
        std::process::exit(0);
    }
}
