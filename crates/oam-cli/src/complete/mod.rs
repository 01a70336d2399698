//! Shell completion: the script of `oam completions` starts `oam` again on each Tab, with [`VARIABLE`] set.
//!
//! `script` has the scripts, `bash_line` the words of a bash line, `sources` the kind of each argument, `mesh` reads the
//! names, and `command` joins both. The engine that knows the commands and their options is that of `clap_complete`.

mod bash_line;
mod command;
mod mesh;
mod quote;
mod script;
mod sources;

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::Write;
use std::time::{Duration, Instant};

use clap_complete::engine::{CompletionCandidate, complete};
use openagentmesh::protocol::name::is_visible;

use self::bash_line::BashLine;
use self::mesh::MeshNames;
pub(crate) use self::script::script;
use crate::cli::{Cli, Shell};
use crate::text::on_one_line;

/// The environment variable that names the shell. Only the scripts set it.
const VARIABLE: &str = "OAM_COMPLETE";

/// The environment variable with the index of the word at the cursor. A PowerShell may leave out an empty last word.
const INDEX_VARIABLE: &str = "OAM_COMPLETE_INDEX";

/// The environment variable for another time than [`MESH_TIMEOUT`], as in `500ms`.
const TIMEOUT_VARIABLE: &str = "OAM_COMPLETE_TIMEOUT";

/// The time from the start of the process to the last name from the mesh. The rest of 150 ms starts the process and
/// writes the candidates.
const MESH_TIMEOUT: Duration = Duration::from_millis(120);

/// The limit of a chosen time.
const MAX_MESH_TIMEOUT: Duration = Duration::from_secs(60);

/// More candidates have no description, so that a shell shows them in columns.
const MAX_DESCRIBED: usize = 100;

/// A long description is cut to this width.
const MAX_HELP_CHARS: usize = 60;

/// The shell whose completion script has started this process.
pub(crate) fn requested() -> Option<Shell> {
    let name = std::env::var(VARIABLE).ok()?;
    <Shell as clap::ValueEnum>::from_str(&name, false).ok()
}

/// Writes the candidates for the word at the cursor, one on each line. A problem of any kind leaves fewer candidates:
/// output in the middle of a command line would be in the way.
///
/// `arguments` are the name of the program, an optional `--`, and the words that the script passes.
pub(crate) fn answer(shell: Shell, arguments: Vec<OsString>) {
    let deadline = Instant::now() + mesh_timeout();
    // A panic is a problem like any other.
    std::panic::set_hook(Box::new(|_| {}));
    let mut words: Vec<OsString> = arguments.into_iter().skip(1).collect();
    if words.first().is_some_and(|word| word == "--") {
        words.remove(0);
    }
    let lines = match shell {
        Shell::Bash => bash(&words, deadline),
        _ => with_words(shell, words, deadline),
    };
    let mut output = lines.join("\n");
    output.push('\n');
    let mut stdout = std::io::stdout().lock();
    // Without a reader there is no place for a report.
    drop(stdout.write_all(output.as_bytes()));
    drop(stdout.flush());
}

fn mesh_timeout() -> Duration {
    let chosen = std::env::var(TIMEOUT_VARIABLE).ok();
    let chosen = chosen.and_then(|text| humantime::parse_duration(&text).ok());
    chosen.map_or(MESH_TIMEOUT, |chosen| chosen.min(MAX_MESH_TIMEOUT))
}

/// bash passes the word that it replaces, and the line up to the cursor: its own words end at each `:` and `=`.
fn bash(arguments: &[OsString], deadline: Instant) -> Vec<String> {
    let [replaced, line] = arguments else {
        return Vec::new();
    };
    let (Some(replaced), Some(line)) = (replaced.to_str(), line.to_str()) else {
        return Vec::new();
    };
    let line = BashLine::parse(line);
    let words = line.words().iter().map(OsString::from).collect();
    candidates(words, deadline)
        .iter()
        .filter_map(|candidate| line.replacement(replaced, &candidate.value))
        .collect()
}

/// The other shells pass the words.
fn with_words(shell: Shell, mut words: Vec<OsString>, deadline: Instant) -> Vec<String> {
    let index = std::env::var(INDEX_VARIABLE).ok();
    let index: Option<usize> = index.and_then(|index| index.parse().ok());
    if index == Some(words.len()) {
        words.push(OsString::new());
    }
    if shell == Shell::Fish
        && let Some(last) = words.last_mut()
        && let Some(text) = last.to_str()
    {
        // fish passes the last word as it is typed.
        *last = bash_line::unquoted(text).into();
    }
    let candidates = candidates(words, deadline);
    let is_described = shell != Shell::Elvish && candidates.len() <= MAX_DESCRIBED;
    candidates
        .into_iter()
        .map(|candidate| {
            let value = match shell {
                Shell::Powershell => quote::powershell_if_needed(&candidate.value),
                // These shells quote what they insert.
                _ => candidate.value,
            };
            match candidate.help.filter(|_| is_described) {
                Some(help) => format!("{value}\t{help}"),
                None => value,
            }
        })
        .collect()
}

/// A candidate for the word at the cursor.
#[derive(Debug)]
struct Candidate {
    /// The whole word, without quotes.
    value: String,
    help: Option<String>,
}

/// The candidates for the last of `words`, which begin with the name of the program.
fn candidates(words: Vec<OsString>, deadline: Instant) -> Vec<Candidate> {
    let Some(index) = words.len().checked_sub(1).filter(|index| *index > 0) else {
        return Vec::new();
    };
    let names = MeshNames::new(&words[1..index], deadline);
    let mut command = command::with_names(Cli::definitions(), names);
    let is_empty = words[index].is_empty();
    let directory = std::env::current_dir().ok();
    let found = complete(&mut command, words, index, directory.as_deref()).unwrap_or_default();
    let mut seen = HashSet::new();
    let mut candidates: Vec<Candidate> = found
        .iter()
        .filter_map(candidate)
        .filter(|candidate| seen.insert(candidate.value.clone()))
        .collect();
    // Options are in the way where a name is expected, until a `-` asks for them.
    if is_empty && candidates.iter().any(|candidate| !is_option(candidate)) {
        candidates.retain(|candidate| !is_option(candidate));
    }
    candidates
}

fn is_option(candidate: &Candidate) -> bool {
    candidate.value.starts_with('-')
}

/// A candidate with characters that cannot be seen, or that end a line, is left out.
fn candidate(found: &CompletionCandidate) -> Option<Candidate> {
    let value = found.get_value().to_str()?;
    if value.is_empty() || !value.chars().all(is_visible) {
        return None;
    }
    let help = found.get_help().map(ToString::to_string);
    let help = help.and_then(|help| Some(on_one_line(help.lines().next()?)));
    Some(Candidate {
        value: value.to_owned(),
        help: help.map(|help| crate::text::truncated(help, MAX_HELP_CHARS)),
    })
}
