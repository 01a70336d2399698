//! A text that the user edits in an editor.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::process::Command;

use crate::failure::Failure;
use crate::input;
use crate::live::Listener;

#[cfg(not(windows))]
const DEFAULT_EDITOR: &str = "vi";
#[cfg(windows)]
const DEFAULT_EDITOR: &str = "notepad";

/// A text after its edit. Its file is removed when the value is dropped, unless the text is kept.
pub(crate) struct Edited {
    pub(crate) text: String,
    path: PathBuf,
    is_kept: AtomicBool,
}

impl Edited {
    /// Keeps the file of the text. Returns where it is.
    pub(crate) fn keep(&self) -> String {
        self.is_kept.store(true, Ordering::Relaxed);
        format!("the edited input is kept in {}", self.path.display())
    }

    /// Keeps the file of the text, and adds its path to `failure`.
    pub(crate) fn kept_for(&self, mut failure: Failure) -> Failure {
        failure.message = format!("{}; {}", failure.message, self.keep());
        failure
    }
}

impl Drop for Edited {
    fn drop(&mut self) {
        if !self.is_kept.load(Ordering::Relaxed)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the edited input is not removed");
        }
    }
}

/// Opens `text` in the editor of the user: `$VISUAL`, else `$EDITOR`, else that of the system. The file is in the
/// directory for temporary files, and readable by the user alone.
///
/// # Errors
///
/// If the editor cannot be run or fails, if SIGTERM arrives while it is open, and if the text is unchanged or empty
/// afterwards, by which the user cancels.
pub(crate) async fn edit(text: &str) -> Result<Edited, Failure> {
    let path = write(text).map_err(|error| {
        Failure::local(format!(
            "cannot write the input into a temporary file: {error}"
        ))
    })?;
    let mut edited = Edited {
        text: text.to_owned(),
        path,
        is_kept: AtomicBool::new(false),
    };
    let editor = editor(|name| std::env::var(name).ok());
    let status = tokio::select! {
        biased;
        () = terminated() => {
            return Err(edited.kept_for(Failure::interrupted(
                "interrupted: SIGTERM arrived while the editor was open; nothing was sent",
            )));
        }
        status = run(&editor, &edited.path) => status,
    };
    let bytes = std::fs::read(&edited.path).map_err(|error| {
        edited.kept_for(Failure::local(format!(
            "cannot read the edited input: {error}"
        )))
    })?;
    let is_changed = bytes.trim_ascii() != text.trim().as_bytes();
    let failed = |reason: String| {
        let failure = Failure::local(format!("the editor '{editor}' failed: {reason}"))
            .hint("VISUAL or EDITOR names the editor, as in EDITOR=nano");
        if is_changed {
            edited.kept_for(failure)
        } else {
            failure
        }
    };
    match status {
        Err(error) => return Err(failed(error.to_string())),
        Ok(status) if !status.success() => return Err(failed(status.to_string())),
        Ok(_) => {}
    }
    if !is_changed || bytes.trim_ascii().is_empty() {
        let state = if is_changed { "empty" } else { "unchanged" };
        return Err(Failure::local(format!(
            "cancelled: the input is {state}; nothing was sent"
        )));
    }
    edited.text = input::text(bytes, "the edited text", "invalid JSON input")
        .map_err(|failure| edited.kept_for(failure))?;
    Ok(edited)
}

/// The command of the editor.
fn editor(variable: impl Fn(&str) -> Option<String>) -> String {
    let mut named = ["VISUAL", "EDITOR"].into_iter().filter_map(variable);
    named
        .find(|editor| !editor.trim().is_empty())
        .unwrap_or_else(|| DEFAULT_EDITOR.to_owned())
}

/// Writes a private file, and returns its path.
fn write(text: &str) -> io::Result<PathBuf> {
    let mut file = tempfile::Builder::new()
        .prefix("oam-input-")
        .suffix(".json")
        .tempfile()?;
    file.write_all(text.as_bytes())?;
    // Closed, because an editor on Windows cannot write an open file.
    Ok(file.into_temp_path().keep()?)
}

/// Waits for SIGTERM, which other programs send: the editor has Ctrl-C for itself.
#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};

    match signal(SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(error) => {
            tracing::warn!(%error, "SIGTERM does not end the command while the editor is open");
            std::future::pending().await
        }
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}

/// Runs the editor in the terminal of the user, also if stdin or stdout is a pipe. Ctrl-C is for the editor.
async fn run(editor: &str, file: &Path) -> io::Result<ExitStatus> {
    let mut command = command(editor, file);
    let (stdin, stdout) = terminal();
    command.stdin(stdin).stdout(stdout);
    let _listener = Listener::new();
    command.spawn()?.wait().await
}

/// A shell runs the editor, because the command may have arguments and quotes.
#[cfg(not(windows))]
fn command(editor: &str, file: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{editor} \"$@\""), editor])
        .arg(file);
    command
}

/// The words of the command are separated by spaces, except between double quotes.
#[cfg(windows)]
fn command(editor: &str, file: &Path) -> Command {
    let mut words = words(editor).into_iter();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).arg(file);
    command
}

#[cfg(any(windows, test))]
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for character in command.trim().chars() {
        match (character, words.last_mut()) {
            ('"', _) => is_quoted = !is_quoted,
            (' ', Some(word)) if !is_quoted => {
                if !word.is_empty() {
                    words.push(String::new());
                }
            }
            (_, Some(word)) => word.push(character),
            (_, None) => {}
        }
    }
    words
}

/// Stdin and stdout of the editor.
#[cfg(unix)]
fn terminal() -> (Stdio, Stdio) {
    use std::fs::File;
    use std::io::IsTerminal;

    let or_terminal = |is_terminal: bool| {
        let terminal = || File::options().read(true).write(true).open("/dev/tty").ok();
        match is_terminal {
            true => Stdio::inherit(),
            false => terminal().map_or_else(Stdio::inherit, Stdio::from),
        }
    };
    let stdin = or_terminal(io::stdin().is_terminal());
    (stdin, or_terminal(io::stdout().is_terminal()))
}

#[cfg(not(unix))]
fn terminal() -> (Stdio, Stdio) {
    (Stdio::inherit(), Stdio::inherit())
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT_EDITOR, editor, words};

    #[test]
    fn editor_is_that_of_the_environment() {
        let of = |visual: Option<&str>, fallback: Option<&str>| {
            editor(|name| match name {
                "VISUAL" => visual.map(str::to_owned),
                _ => fallback.map(str::to_owned),
            })
        };
        assert_eq!(of(Some("code --wait"), Some("nano")), "code --wait");
        assert_eq!(of(Some(" "), Some("nano")), "nano");
        assert_eq!(of(None, None), DEFAULT_EDITOR);
    }

    #[test]
    fn command_is_split_at_spaces_outside_quotes() {
        assert_eq!(words("code --wait"), ["code", "--wait"]);
        assert_eq!(
            words(r#""C:\My Editor\e.exe"  -n"#),
            [r"C:\My Editor\e.exe", "-n"]
        );
    }
}
