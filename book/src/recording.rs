//! A terminal recording as an SVG: the lines of a real run, at the times at which they were printed.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::pages;
use crate::session::sandbox::Programs;

/// The command of the recording.
const COMMAND: &str = "oam demo";

const FILE: &str = "reference/demo.svg";

/// Longer lines are wrapped.
const COLUMNS: usize = 104;
const COLUMN_WIDTH: f64 = 7.8;
const LINE_HEIGHT: usize = 19;
const MARGIN: usize = 16;

/// The time before the command, in which it seems to be typed.
const TYPING: Duration = Duration::from_millis(600);

/// The least time between two lines. A reader could not follow the run at its own speed.
const MIN_DELAY: Duration = Duration::from_millis(90);

/// A line and the time at which it appears.
struct Line {
    at: Duration,
    text: String,
}

/// Runs the command and writes the recording.
///
/// # Errors
///
/// The command that cannot be run, or the file that cannot be written.
pub(crate) fn record() -> Result<(), String> {
    let program = Programs::find().rust.join("oam");
    let arguments = COMMAND.split_whitespace().skip(1);
    let fail = |error: std::io::Error| format!("{COMMAND} cannot be run: {error}");
    let start = Instant::now();
    let mut process = Command::new(program)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(fail)?;
    let mut lines = vec![Line {
        at: Duration::ZERO,
        text: format!("$ {COMMAND}"),
    }];
    let stdout = process.stdout.take().ok_or("the command has no output")?;
    for line in BufReader::new(stdout).lines() {
        let line = line.map_err(fail)?;
        let printed = TYPING + start.elapsed();
        for part in wrapped(&line) {
            let earliest = lines.last().map_or(TYPING, |last| last.at + MIN_DELAY);
            lines.push(Line {
                at: printed.max(earliest),
                text: part,
            });
        }
    }
    let status = process.wait().map_err(fail)?;
    if !status.success() {
        return Err(format!("{COMMAND}: {status}"));
    }
    let path = pages::docs().join(FILE);
    fs::write(&path, svg(&lines)).map_err(|error| format!("cannot write {FILE}: {error}"))?;
    println!("recorded: {}", path.display());
    Ok(())
}

/// The line in parts of at most [`COLUMNS`] characters.
fn wrapped(line: &str) -> Vec<String> {
    let characters: Vec<char> = line.chars().collect();
    if characters.is_empty() {
        return vec![String::new()];
    }
    let parts = characters.chunks(COLUMNS);
    parts.map(|part| part.iter().collect()).collect()
}

fn svg(lines: &[Line]) -> String {
    let width = (COLUMNS as f64 * COLUMN_WIDTH) as usize + 2 * MARGIN;
    let height = lines.len() * LINE_HEIGHT + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"Terminal recording of {COMMAND}\">\n\
         <style>\n\
         text {{ font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #d7dae0; \
         white-space: pre; animation: appear 1ms both; }}\n\
         .command {{ fill: #7ee0a1; font-weight: bold; }}\n\
         .reply {{ fill: #8cc8ff; }}\n\
         @keyframes appear {{ from {{ opacity: 0; }} to {{ opacity: 1; }} }}\n\
         @media (prefers-reduced-motion: reduce) {{ text {{ animation: none; }} }}\n\
         </style>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#1b1e25\"/>\n"
    );
    for (index, line) in lines.iter().enumerate() {
        let y = MARGIN + index * LINE_HEIGHT + 14;
        let class = match () {
            () if line.text.starts_with("$ ") => " class=\"command\"",
            () if line.text.contains(" -> ") || line.text.trim_start().starts_with("->") => {
                " class=\"reply\""
            }
            () => "",
        };
        let text = line
            .text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        let _ = writeln!(
            svg,
            "<text x=\"{MARGIN}\" y=\"{y}\"{class} style=\"animation-delay: {}ms\">{text}</text>",
            line.at.as_millis()
        );
    }
    svg + "</svg>\n"
}
