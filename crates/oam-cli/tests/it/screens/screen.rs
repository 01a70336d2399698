//! The text that a command leaves in a terminal or in a pipe.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::LazyLock;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anstream::adapter::strip_str;
use regex::Regex;
use unicode_width::UnicodeWidthStr;

use super::cases::Case;
use super::content::Content;
use super::redact::{redacted, without_sizes};
use super::shell::Shell;
use crate::support::Terminal;

/// A terminal, or a pipe without a width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct View {
    columns: Option<u16>,
    has_colours: bool,
}

impl View {
    pub(super) const PIPE: Self = Self {
        columns: None,
        has_colours: false,
    };

    /// Without colours first: the order in a snapshot.
    pub(super) const ALL: [Self; 7] = [
        Self::plain(40),
        Self::plain(80),
        Self::plain(200),
        Self::PIPE,
        Self::coloured(40),
        Self::coloured(80),
        Self::coloured(200),
    ];

    const fn plain(columns: u16) -> Self {
        Self {
            columns: Some(columns),
            has_colours: false,
        }
    }

    const fn coloured(columns: u16) -> Self {
        Self {
            columns: Some(columns),
            has_colours: true,
        }
    }

    /// Whether `other` is the same terminal without colours.
    pub(super) fn is_coloured_form_of(self, other: Self) -> bool {
        self.has_colours && !other.has_colours && self.columns == other.columns
    }

    pub(super) fn title(self) -> String {
        match (self.columns, self.has_colours) {
            (None, _) => "in a pipe".to_owned(),
            (Some(columns), false) => format!("{columns} columns"),
            (Some(columns), true) => format!("{columns} columns, in colour"),
        }
    }
}

/// The limit of the wait for a line of a command that runs until it is interrupted.
const LINE_TIMEOUT: Duration = Duration::from_secs(60);

/// The output of a command in one view.
#[derive(Debug)]
pub(super) struct Screen {
    pub(super) view: View,
    text: String,
    code: i32,
}

impl Screen {
    /// Runs `line`.
    pub(super) fn take(view: View, shell: Shell<'_>, line: &str, until: Option<&str>) -> Self {
        let line = match line.starts_with("oam ") {
            // The process that gets the signal is the command.
            true => format!("exec {line}"),
            false => line.to_owned(),
        };
        let line = match view.columns {
            Some(_) => line,
            None => format!("{line} 2>&1"),
        };
        let mut command = shell.command(&line);
        if !view.has_colours && view.columns.is_some() {
            command.env("NO_COLOR", "1");
        }
        let (code, text) = match view.columns {
            Some(columns) => {
                let mut running = Terminal::with_columns(columns).start(command);
                if let Some(text) = until {
                    running.shows(text);
                    running.signal("-INT");
                }
                running.end()
            }
            None => {
                let mut child = command.stderr(Stdio::null()).spawn().unwrap();
                if let Some(text) = until {
                    piped_until(&mut child, text)
                } else {
                    let output = child.wait_with_output().unwrap();
                    let text = String::from_utf8_lossy(&output.stdout).into_owned();
                    (output.status.code().expect("ended by a signal"), text)
                }
            }
        };
        let text = without_progress(&text);
        let text = match until {
            Some(until) => cut_after(&text, until),
            None => text,
        };
        Self { view, text, code }
    }

    /// The text in a snapshot, with marks for styles and the exit code of a failure.
    pub(super) fn shown(&self, case: &str) -> String {
        // A NUL would make the snapshot a binary file.
        let mut text = redacted(&marked(&self.text)).replace('\0', "␀");
        if case.starts_with("oam mesh status") {
            text = without_sizes(&text);
        }
        if self.code != 0 {
            text.push_str(&format!("[exit code {}]\n", self.code));
        }
        text
    }

    /// The shown text without styles.
    pub(super) fn plain(&self, case: &str) -> String {
        let plain = Self {
            text: strip_str(&self.text).to_string(),
            ..*self
        };
        plain.shown(case)
    }

    /// The violations of the rules for every screen.
    pub(super) fn problems(&self, is_data: bool) -> Vec<String> {
        let mut problems = Vec::new();
        let has_styles = self.text.contains('\u{1b}');
        if has_styles && !self.view.has_colours {
            problems.push(format!("escape codes: {:?}", self.text));
        }
        let Some(columns) = self.view.columns else {
            return problems;
        };
        if is_data {
            return problems;
        }
        for line in strip_str(&self.text).to_string().lines() {
            if line.width() > columns.into() && !is_unbreakable(line) {
                problems.push(format!("{} columns: {line}", line.width()));
            }
        }
        problems
    }
}

/// Whether the line is one word, a command to paste, or JSON. A label may precede it.
fn is_unbreakable(line: &str) -> bool {
    static LABEL: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^ *([\w-]+:|[A-Z][\w-]*  +)? *").unwrap());
    let text = LABEL.replace(line, "");
    let is_command = ["oam ", "cd ", "export ", "mkdir "]
        .iter()
        .any(|command| text.starts_with(command));
    !text.contains(' ') || is_command || text.starts_with(['{', '}', '[', ']', '"'])
}

/// Reads a pipe until `text` arrives, interrupts the command, and reads the rest.
fn piped_until(child: &mut std::process::Child, text: &str) -> (i32, String) {
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    let reading = std::thread::spawn(move || {
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 0 {
            sender.send(std::mem::take(&mut line)).unwrap();
        }
    });
    let (mut read, mut is_interrupted) = (String::new(), false);
    loop {
        match lines.recv_timeout(LINE_TIMEOUT) {
            Ok(line) => read += &line,
            // A command that ends by itself in a pipe, as the demo does, gets no signal.
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                child.kill().unwrap();
                panic!("no further line, and not {text:?}: {read}");
            }
        }
        if read.contains(text) && !is_interrupted {
            is_interrupted = true;
            let id = child.id().to_string();
            let kill = std::process::Command::new("kill")
                .args(["-INT", &id])
                .status();
            assert!(kill.unwrap().success());
        }
    }
    reading.join().unwrap();
    let code = child.wait().unwrap().code();
    (code.expect("ended by a signal"), read)
}

/// The text without the progress of transfers, which are cleared.
fn without_progress(text: &str) -> String {
    static CLEARED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new("[^\n]*\r(\u{1b}\\[2K)?").unwrap());
    CLEARED.replace_all(text, "").into_owned()
}

/// The text up to the end of the line that has `last`.
fn cut_after(text: &str, last: &str) -> String {
    let Some(found) = text.find(last) else {
        return text.to_owned();
    };
    let end = text[found..]
        .find('\n')
        .map_or(text.len(), |end| found + end + 1);
    text[..end].to_owned()
}

/// The text with marks in place of the escape codes of styles: `«1»bold«0»`.
fn marked(text: &str) -> String {
    static STYLE: LazyLock<Regex> = LazyLock::new(|| Regex::new("\u{1b}\\[([0-9;]*)m").unwrap());
    STYLE.replace_all(text, "«$1»").into_owned()
}

/// The views in which a case is taken: JSON is the same in each.
pub(super) fn views_of(case: &Case) -> &'static [View] {
    match case.line.contains("--json") {
        true => &[View::PIPE],
        false => &View::ALL,
    }
}

/// The section of a snapshot: the screens of one line and one content. Equal screens are shown once.
pub(super) fn section(line: &str, content: Option<Content>, screens: &[Screen]) -> String {
    let mut section = format!("$ {line}\n");
    if let Some(content) = content {
        section = format!("$ {line}    # {}\n", content.title());
    }
    let mut shown: Vec<(View, String)> = Vec::new();
    for screen in screens {
        let text = elided(&screen.shown(line));
        match shown.iter().find(|(_, earlier)| *earlier == text) {
            Some((view, _)) => {
                section.push_str(&format!(
                    "---- {}: as with {}\n",
                    screen.view.title(),
                    view.title()
                ));
            }
            // The colours of one width are enough to see; those of the others have the same text without them.
            None if screen.view.has_colours && screen.view.columns != Some(80) => {}
            None => {
                section.push_str(&format!("---- {}\n{text}", screen.view.title()));
                if !text.ends_with('\n') {
                    section.push_str("[no line break]\n");
                }
                shown.push((screen.view, text));
            }
        }
    }
    section
}

/// The text with its first and last lines, if it is long.
fn elided(text: &str) -> String {
    const FIRST: usize = 8;
    const LAST: usize = 4;
    const MAX_LINES: usize = 100;

    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    if lines.len() <= MAX_LINES {
        return text.to_owned();
    }
    let left_out = lines.len() - FIRST - LAST;
    format!(
        "{}[{left_out} more lines]\n{}",
        lines[..FIRST].concat(),
        lines[lines.len() - LAST..].concat()
    )
}
