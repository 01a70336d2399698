//! All output: results to stdout, everything else to stderr.

use std::io::{self, ErrorKind, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::value::to_raw_value;

use crate::failure::Failure;
use crate::json;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();
/// For the most important part of a line.
pub(crate) const STRONG: Style = Style::new().bold();
/// For the least important part of a line.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// Writes to stdout and stderr, with colours only on a terminal.
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
        let json = to_raw_value(value).map_err(json::serialize_failure)?;
        self.out(&json::text(&json, true));
        Ok(())
    }

    /// A result as raw bytes. On a terminal, a missing final line break is added.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        let mut stdout = io::stdout().lock();
        let needs_line_break = stdout.is_terminal() && !bytes.ends_with(b"\n");
        let written = stdout
            .write_all(bytes)
            .and_then(|()| stdout.write_all(if needs_line_break { b"\n" } else { b"" }))
            .and_then(|()| stdout.flush());
        exit_on_broken_pipe(written);
    }

    /// A result as a table without borders.
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

    /// A named field of the result.
    pub(crate) fn field(&self, name: &str, value: impl AsRef<str>) {
        self.out(&format!("{FAINT}{name:<14}{FAINT:#}{}", value.as_ref()));
    }

    /// The title of a section of the result.
    pub(crate) fn title(&self, text: &str) {
        self.out(&format!("{STRONG}{text}{STRONG:#}"));
    }

    /// A suggested command and its effect.
    pub(crate) fn command(&self, command: &str, effect: &str) {
        self.out(&format!(
            "  {HINT}{command}{HINT:#}  {FAINT}{effect}{FAINT:#}"
        ));
    }

    /// A note on stderr, which a pipe does not contain.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        self.err(text.as_ref());
    }

    /// A note that is printed only when stdout is a terminal.
    pub(crate) fn hint_for_people(&self, text: &str) {
        if io::stdout().is_terminal() {
            self.note(format!("{FAINT}{text}{FAINT:#}"));
        }
    }

    /// Resolves when the reader of a piped stdout has closed it, as `head` does. Never resolves for
    /// a terminal or a file. Cancel-safe.
    #[cfg(unix)]
    pub(crate) async fn reader_closed(&self) {
        use std::os::fd::AsFd;

        use tokio::io::Interest;
        use tokio::net::unix::pipe::Sender;

        let stdout = io::stdout();
        if !stdout.is_terminal()
            && let Ok(stdout) = stdout.as_fd().try_clone_to_owned()
            // Unchecked, because nothing is written through the copy: stdout stays blocking. A file
            // cannot be watched and fails here.
            && let Ok(stdout) = Sender::from_owned_fd_unchecked(stdout)
            && stdout.ready(Interest::ERROR).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }

    /// Never resolves: on this platform only the next write detects a closed pipe.
    #[cfg(not(unix))]
    pub(crate) async fn reader_closed(&self) {
        std::future::pending().await
    }

    /// An error with its code, its details and its hint.
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
        exit_on_broken_pipe(written);
    }

    fn err(&self, text: &str) {
        let written = writeln!(anstream::stderr().lock(), "{text}");
        exit_on_broken_pipe(written);
    }
}

/// A closed pipe, as in `oam … | head`, is no error.
fn exit_on_broken_pipe(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() == ErrorKind::BrokenPipe
    {
        std::process::exit(0);
    }
}
