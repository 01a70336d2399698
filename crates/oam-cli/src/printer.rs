//! Everything that is printed: results to stdout, everything else to stderr.

use std::io::{self, ErrorKind, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::failure::Failure;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();
const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();

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
