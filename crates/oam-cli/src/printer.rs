//! All output: results to stdout, everything else to stderr.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
#[cfg(unix)]
use std::os::fd::AsFd as AsStream;
#[cfg(windows)]
use std::os::windows::io::AsHandle as AsStream;

use anstyle::{AnsiColor, Style};
use clap::error::ErrorKind;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use terminal_size::{Width, terminal_size_of};

use crate::cli::Output;
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::json;
use crate::line::Line;
use crate::table::{self, Column};
use crate::text::{on_one_line, printable};
use crate::transfer::Transfer;
use crate::wrap::wrap;

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
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    output: Output,
}

/// The width of a terminal that does not tell it.
const DEFAULT_WIDTH: usize = 80;

/// The columns of the name of a field.
const FIELD_NAME_WIDTH: usize = 14;

/// The indentation of a note, an error or a hint that continues on a further line.
const HANGING: usize = 2;

impl Printer {
    pub(crate) fn new(output: Output) -> Self {
        Self { output }
    }

    /// Whether the result is a JSON document, or a line of JSON for each result as it arrives.
    pub(crate) fn is_json(&self) -> bool {
        self.output.json || self.output.pretty
    }

    /// A line of the result. On a terminal, a text is broken between words.
    pub(crate) fn line(&self, line: impl Into<Line>) -> Result<(), Failure> {
        self.hanging_line(line.into(), 0)
    }

    /// A line of the result that is data, and stays one line on a terminal, too.
    pub(crate) fn data_line(&self, line: impl Into<Line>) -> Result<(), Failure> {
        line.into().write().map_err(|error| Failure::stdout(&error))
    }

    fn hanging_line(&self, line: Line, hanging: usize) -> Result<(), Failure> {
        self.data_line(broken(line, hanging))
    }

    /// A result as one JSON document: on one line with `--json`, else over several.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.line(self.document(value)?)
    }

    /// The line that [`json`](Self::json) prints.
    ///
    /// # Errors
    ///
    /// If the value cannot be serialized as JSON.
    pub(crate) fn document(&self, value: &impl Serialize) -> Result<Line, Failure> {
        Line::serialized(value, !self.output.json || self.output.pretty)
    }

    /// One of several results that arrive one by one, as JSON: on one line, or over several with `--pretty`.
    ///
    /// # Errors
    ///
    /// If the value cannot be serialized as JSON.
    pub(crate) fn json_line(&self, value: &impl Serialize) -> Result<Line, Failure> {
        Line::serialized(value, self.output.pretty)
    }

    /// A value of an agent: on one line, or over several with `--pretty`.
    pub(crate) fn value_line(&self, value: Box<RawValue>) -> Line {
        Line::json(value, self.output.pretty)
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
            return self.data_line(printable(text));
        }
        stdout
            .write_all(bytes)
            .and_then(|()| stdout.flush())
            .map_err(|error| Failure::stdout(&error))
    }

    /// A result as a table without borders, one line for each row. On a terminal the table has its width: texts are
    /// shortened, and columns left out, unless `--wide` was given.
    pub(crate) fn table<'r, const COLUMNS: usize>(
        &self,
        columns: [Column; COLUMNS],
        rows: impl IntoIterator<Item = [impl Into<Cow<'r, str>>; COLUMNS]>,
    ) -> Result<(), Failure> {
        let width = if self.output.wide {
            None
        } else {
            terminal_width()
        };
        let table = table::lay_out(columns, rows, width);
        self.data_line(format!("{STRONG}{}{STRONG:#}", table.header))?;
        if !table.rows.is_empty() {
            self.data_line(table.rows.join("\n"))?;
        }
        if !table.left_out.is_empty() {
            let left_out = table.left_out.join(", ");
            self.hint_for_people(&format!("left out: {left_out}; --wide prints all columns"));
        }
        Ok(())
    }

    /// A named field of the result.
    pub(crate) fn field(&self, name: &str, value: impl AsRef<str>) -> Result<(), Failure> {
        let line = format!(
            "{FAINT}{name:<FIELD_NAME_WIDTH$}{FAINT:#}{}",
            value.as_ref()
        );
        self.hanging_line(line.into(), FIELD_NAME_WIDTH)
    }

    /// The title of a section of the result.
    pub(crate) fn title(&self, text: &str) -> Result<(), Failure> {
        self.line(format!("{STRONG}{text}{STRONG:#}"))
    }

    /// A suggested command, and its effect if that is not empty.
    pub(crate) fn command(&self, command: &str, effect: &str) -> Result<(), Failure> {
        if effect.is_empty() {
            return self.line(format!("  {HINT}{command}{HINT:#}"));
        }
        self.line(format!(
            "  {HINT}{command}{HINT:#}  {FAINT}{effect}{FAINT:#}"
        ))
    }

    /// A note on stderr, which a pipe does not contain.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        match self.output {
            Output { quiet: true, .. } => {}
            Output { json: true, .. } => {
                self.err_json(&json!({ "note": text.as_ref() }).to_string())
            }
            _ => self.err(&printable(text.as_ref())),
        }
    }

    /// A note that is printed only when stdout is a terminal.
    pub(crate) fn hint_for_people(&self, text: &str) {
        if io::stdout().is_terminal() && !self.output.quiet && !self.output.json {
            self.err(&format!("{FAINT}{}{FAINT:#}", printable(text)));
        }
    }

    /// The progress of a file on a terminal, labelled with `title`.
    pub(crate) fn transfer(&self, title: String) -> Transfer {
        match width_of(&io::stderr()) {
            Some(columns) if !self.output.quiet && !self.output.json => {
                Transfer::new(title, columns)
            }
            _ => Transfer::hidden(),
        }
    }

    /// Resolves when the reader of a piped stdout has closed it, as `head` does. Never resolves for
    /// a terminal or a file. Cancel-safe.
    #[cfg(unix)]
    #[expect(
        deprecated,
        reason = "the successor is unsafe; the descriptor is owned and stays open"
    )]
    pub(crate) async fn reader_closed(&self) {
        use std::os::fd::AsFd;

        use tokio::io::Interest;
        use tokio::io::unix::AsyncFd;

        let stdout = io::stdout();
        if !stdout.is_terminal()
            // Nothing is written through the copy: stdout stays blocking.
            && let Ok(stdout) = stdout.as_fd().try_clone_to_owned()
            // A file cannot be watched, and fails here.
            && let Ok(stdout) = AsyncFd::with_interest(stdout, Interest::WRITABLE)
        {
            // Linux reports the closed pipe as an error, too, macOS only as writable.
            while let Ok(mut ready) = stdout.writable().await {
                if ready.ready().is_write_closed() {
                    return;
                }
                ready.clear_ready();
            }
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
        let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
        if error.use_stderr() && self.output.json && !is_help {
            let text = text.to_string();
            self.failure(&Failure::usage(problem(&text)));
            return ExitCode::USAGE;
        }
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
            return ExitCode::USAGE;
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
        if self.output.json {
            return self.err_json(&failure.to_json().to_string());
        }
        let code = failure
            .code
            .as_ref()
            .map(|code| format!("[{code}]"))
            .unwrap_or_default();
        let code = on_one_line(&code);
        let message = printable(failure.shown_message());
        self.err(&format!("{ERROR}error{code}{ERROR:#}: {message}"));
        for detail in failure.detail_lines() {
            self.err(&format!("  {}", printable(&detail)));
        }
        if let Some(hint) = &failure.hint {
            self.err(&format!("  {HINT}hint{HINT:#}: {}", printable(hint)));
        }
        if let Some(page) = failure.page() {
            self.err(&format!("  {HINT}page{HINT:#}: {page}"));
        }
    }

    /// A JSON object on one line of stderr.
    fn err_json(&self, object: &str) {
        drop(writeln!(
            io::stderr().lock(),
            "{}",
            json::on_one_line(object)
        ));
    }

    fn err(&self, text: &str) {
        let text = match width_of(&io::stderr()) {
            Some(width) => wrap(text, width, HANGING),
            None => text.to_owned(),
        };
        // Without stderr there is no place for the text.
        drop(writeln!(anstream::stderr().lock(), "{text}"));
    }
}

/// The width of the terminal at stdout; `None` if stdout is none.
fn terminal_width() -> Option<usize> {
    width_of(&io::stdout())
}

fn width_of(stream: &(impl IsTerminal + AsStream)) -> Option<usize> {
    stream
        .is_terminal()
        .then(|| match terminal_size_of(stream) {
            Some((Width(columns), _)) if columns > 0 => columns.into(),
            _ => DEFAULT_WIDTH,
        })
}

/// The line as [`Printer::line`] writes it: on a terminal, a text is broken between words.
pub(crate) fn broken(line: Line, hanging: usize) -> Line {
    match (line, terminal_width()) {
        (Line::Text(text), Some(width)) => wrap(&text, width, hanging).into(),
        (line, _) => line,
    }
}

/// The problem that the error of an argument names: its first paragraph, on one line.
fn problem(rendered: &str) -> String {
    let problem = rendered.strip_prefix("error: ").unwrap_or(rendered);
    let paragraph = problem.split("\n\n").next().unwrap_or(problem);
    let lines: Vec<_> = paragraph.lines().map(str::trim).collect();
    lines.join(" ")
}
