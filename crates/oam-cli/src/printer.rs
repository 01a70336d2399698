//! All output: results to stdout, everything else to stderr.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::line::Line;
use crate::text::{on_one_line, printable};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();
/// For the most important part of a line.
pub(crate) const STRONG: Style = Style::new().bold();
/// For the least important part of a line.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// Writes to stdout and stderr, with colours only on a terminal.
///
/// A failed write to stdout is an error of the command, because a part of the result is lost. A failed
/// write to stderr is not, because the exit code tells the outcome.
pub(crate) struct Printer;

impl Printer {
    pub(crate) fn new() -> Self {
        Self
    }

    /// A line of the result.
    pub(crate) fn line(&self, line: impl Into<Line>) -> Result<(), Failure> {
        line.into().write().map_err(|error| Failure::stdout(&error))
    }

    /// A result as JSON over several lines.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.line(Line::serialized(value, true)?)
    }

    /// A result as raw bytes. A terminal gets text only, with invisible characters escaped and a
    /// final line break.
    ///
    /// # Errors
    ///
    /// If stdout is a terminal and the bytes are not text, and those of a write.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        if stdout.is_terminal() {
            let text = str::from_utf8(bytes).map_err(|_| {
                Failure::local("binary value not printed: stdout is a terminal")
                    .hint("write it into a file with > FILE; --json prints it as base64")
            })?;
            drop(stdout);
            let text = text.strip_suffix('\n').unwrap_or(text);
            return self.line(printable(text));
        }
        stdout
            .write_all(bytes)
            .and_then(|()| stdout.flush())
            .map_err(|error| Failure::stdout(&error))
    }

    /// A result as a table without borders.
    pub(crate) fn table<const COLUMNS: usize>(
        &self,
        header: [&str; COLUMNS],
        rows: impl IntoIterator<Item = [String; COLUMNS]>,
    ) -> Result<(), Failure> {
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
        let table = table.to_string();
        let lines: Vec<_> = table.lines().map(str::trim_end).collect();
        self.line(lines.join("\n"))
    }

    /// A named field of the result.
    pub(crate) fn field(&self, name: &str, value: impl AsRef<str>) -> Result<(), Failure> {
        self.line(format!("{FAINT}{name:<14}{FAINT:#}{}", value.as_ref()))
    }

    /// The title of a section of the result.
    pub(crate) fn title(&self, text: &str) -> Result<(), Failure> {
        self.line(format!("{STRONG}{text}{STRONG:#}"))
    }

    /// A suggested command and its effect.
    pub(crate) fn command(&self, command: &str, effect: &str) -> Result<(), Failure> {
        self.line(format!(
            "  {HINT}{command}{HINT:#}  {FAINT}{effect}{FAINT:#}"
        ))
    }

    /// A note on stderr, which a pipe does not contain.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        self.err(&printable(text.as_ref()));
    }

    /// A note that is printed only when stdout is a terminal.
    pub(crate) fn hint_for_people(&self, text: &str) {
        if io::stdout().is_terminal() {
            self.err(&format!("{FAINT}{}{FAINT:#}", printable(text)));
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

    /// The help, the version, or the error of the arguments. Returns the exit code.
    pub(crate) fn arguments(&self, error: &clap::Error) -> ExitCode {
        let text = error.render();
        if error.use_stderr() {
            let plain = text.to_string();
            let shown = printable(&plain);
            // An argument may be the text of others, as with xargs. Without one, styles are safe.
            let shown = if shown == plain {
                text.ansi().to_string()
            } else {
                shown
            };
            self.err(shown.trim_end_matches('\n'));
            return ExitCode::from(2);
        }
        let text = text.ansi().to_string();
        match self.line(text.trim_end_matches('\n').to_owned()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                self.failure(&failure);
                failure.exit_code()
            }
        }
    }

    /// An error with its code, its details and its hint. Its text may come from the mesh.
    pub(crate) fn failure(&self, failure: &Failure) {
        if failure.is_reader_closed() {
            return;
        }
        let code = failure
            .code
            .as_ref()
            .map(|code| format!("[{code}]"))
            .unwrap_or_default();
        let code = on_one_line(&code);
        let message = printable(&failure.message);
        self.err(&format!("{ERROR}error{code}{ERROR:#}: {message}"));
        for detail in &failure.details {
            self.err(&format!("  {}", printable(detail)));
        }
        if let Some(hint) = &failure.hint {
            self.err(&format!("  {HINT}hint{HINT:#}: {}", printable(hint)));
        }
        if let Some(page) = failure.page() {
            self.err(&format!("  {HINT}page{HINT:#}: {page}"));
        }
    }

    fn err(&self, text: &str) {
        // Without stderr there is no place for the text.
        drop(writeln!(anstream::stderr().lock(), "{text}"));
    }
}
