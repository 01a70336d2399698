//! Everything that is printed: results to stdout, everything else to stderr.

use std::io::{self, ErrorKind, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::value::to_raw_value;

use crate::failure::Failure;
use crate::json;

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
        let json = to_raw_value(value).map_err(json::impossible)?;
        self.out(&json::text(&json, true));
        Ok(())
    }

    /// A result as it is, byte by byte. On a terminal, what is printed next begins on a new line.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        let mut stdout = io::stdout().lock();
        let needs_line_break = stdout.is_terminal() && !bytes.ends_with(b"\n");
        let written = stdout
            .write_all(bytes)
            .and_then(|()| stdout.write_all(if needs_line_break { b"\n" } else { b"" }))
            .and_then(|()| stdout.flush());
        leave_if_nobody_reads(written);
    }

    /// A result as a table, or rather its columns.
    pub(crate) fn table<const COLUMNS: usize>(
        &self,
        header: [&str; COLUMNS],
        rows: impl IntoIterator<Item = [String; COLUMNS]>,
    ) {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_header(header);
        for row in rows {
            table.add_row(row);
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        for line in table.to_string().lines() {
            self.line(line.trim_end());
        }
    }

    /// One thing that is known of what is shown.
    pub(crate) fn field(&self, name: &str, value: impl AsRef<str>) {
        self.out(&format!("{FAINT}{name:<14}{FAINT:#}{}", value.as_ref()));
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
