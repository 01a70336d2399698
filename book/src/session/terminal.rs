//! A terminal of a page: a shell that runs one command after the other.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::expected::{Expected, Match};
use super::sandbox::Sandbox;

/// The time for a command to print what the page shows. Some compile.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(600);

/// The mark that the shell prints after each command; no program prints it.
const END: char = '\u{1e}';

/// A shell with its commands.
pub(super) struct Terminal {
    shell: Child,
    input: ChildStdin,
    output: Arc<Output>,
    commands: Vec<Sent>,
}

struct Sent {
    line: usize,
    command: String,
    expected: Expected,
}

#[derive(Default)]
struct Output {
    text: Mutex<Printed>,
    changed: Condvar,
}

#[derive(Default)]
struct Printed {
    text: String,
    is_closed: bool,
}

/// The output of one command.
struct Seen {
    text: String,
    is_ended: bool,
}

impl Terminal {
    /// Starts a shell in `folder`.
    pub(super) fn open(sandbox: &Sandbox, folder: &Path) -> Result<Self, String> {
        let mut command = Command::new("bash");
        command.args([
            "--noprofile",
            "--norc",
            "-c",
            "exec 2>&1; exec bash --noprofile --norc",
        ]);
        sandbox.prepare(&mut command);
        command.current_dir(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = command
            .spawn()
            .map_err(|error| format!("bash cannot be run: {error}"))?;
        let (Some(input), Some(mut stdout)) = (shell.stdin.take(), shell.stdout.take()) else {
            return Err("bash has no pipes".to_owned());
        };
        let output = Arc::<Output>::default();
        let reader = Arc::clone(&output);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            let mut undecoded = Vec::new();
            loop {
                let count = stdout.read(&mut bytes).unwrap_or(0);
                undecoded.extend_from_slice(&bytes[..count]);
                let valid = match std::str::from_utf8(&undecoded) {
                    Ok(text) => text.len(),
                    Err(error) => error.valid_up_to(),
                };
                let decoded: Vec<u8> = undecoded.drain(..valid).collect();
                let mut printed = reader.text.lock().unwrap_or_else(PoisonError::into_inner);
                printed.text += &String::from_utf8_lossy(&decoded);
                printed.is_closed = count == 0;
                reader.changed.notify_all();
                if printed.is_closed {
                    return;
                }
            }
        });
        Ok(Self {
            shell,
            input,
            output,
            commands: Vec::new(),
        })
    }

    /// Runs a command after the one before has ended, and waits for its output.
    pub(super) fn run(
        &mut self,
        line: usize,
        command: &str,
        expected: Vec<String>,
    ) -> Result<(), String> {
        self.wait_for_end()?;
        self.commands.push(Sent {
            line,
            command: command.to_owned(),
            expected: Expected::new(expected),
        });
        // A command that reads stdin must not read the next command.
        writeln!(self.input, "{{ {command}\n}} </dev/null\nprintf '{END}'")
            .map_err(|error| format!("line {line}: the shell has ended: {error}"))?;
        self.wait_for_output()
    }

    /// Waits for further output of the last command.
    pub(super) fn expect_more(&mut self, lines: Vec<String>) -> Result<(), String> {
        let last = self.commands.last_mut().ok_or("output before a command")?;
        last.expected.extend(lines);
        self.wait_for_output()
    }

    /// Sends Ctrl-C to the running command, and waits for its end.
    pub(super) fn interrupt(&mut self, lines: Vec<String>) -> Result<(), String> {
        let last = self.commands.last_mut().ok_or("^C before a command")?;
        last.expected.extend(lines);
        let status = Command::new("pkill")
            .args(["-INT", "-P", &self.shell.id().to_string()])
            .status();
        match status {
            Ok(status) if status.success() => self.wait_for_end(),
            Ok(_) => Err(format!("line {}: ^C, and no command runs", last.line)),
            Err(error) => Err(format!("pkill cannot be run: {error}")),
        }
    }

    /// Compares the last command if it has ended. A command that goes on has printed what the page shows.
    pub(super) fn close(&mut self) -> Result<(), String> {
        if self.seen().is_ended {
            self.wait_for_end()?;
        }
        Ok(())
    }

    fn wait_for_output(&self) -> Result<(), String> {
        let Some(last) = self.commands.last() else {
            return Ok(());
        };
        self.wait(|seen| match last.expected.compare(&seen.text) {
            Match::Whole if seen.is_ended => Some(true),
            Match::Start | Match::No if seen.is_ended => Some(false),
            Match::Whole | Match::Start if !last.expected.is_empty() => Some(true),
            _ => None,
        })
    }

    /// Waits for the end of the last command, and compares its whole output.
    fn wait_for_end(&self) -> Result<(), String> {
        let Some(last) = self.commands.last() else {
            return Ok(());
        };
        self.wait(|seen| {
            seen.is_ended
                .then(|| last.expected.compare(&seen.text) == Match::Whole)
        })
    }

    /// Waits until `judge` has a verdict on the output of the last command.
    fn wait(&self, judge: impl Fn(&Seen) -> Option<bool>) -> Result<(), String> {
        let deadline = Instant::now() + COMMAND_TIMEOUT;
        loop {
            let seen = self.seen();
            let left = deadline.saturating_duration_since(Instant::now());
            match judge(&seen) {
                Some(true) => return Ok(()),
                None if !left.is_zero() => {
                    let printed = self.output.lock();
                    if printed.text.is_empty() || !printed.is_closed {
                        // The next output, or a look now and then: some may have come since `seen`.
                        let short = left.min(Duration::from_millis(100));
                        drop(self.output.changed.wait_timeout(printed, short));
                    } else {
                        return Err(self.difference(&seen, "the shell has ended"));
                    }
                }
                Some(false) => return Err(self.difference(&seen, "the output differs")),
                None => return Err(self.difference(&seen, "the output did not come in time")),
            }
        }
    }

    fn seen(&self) -> Seen {
        let printed = self.output.lock();
        let mut outputs = printed.text.split(END).skip(self.commands.len().max(1) - 1);
        Seen {
            text: outputs.next().unwrap_or_default().to_owned(),
            is_ended: outputs.next().is_some(),
        }
    }

    fn difference(&self, seen: &Seen, problem: &str) -> String {
        let Some(last) = self.commands.last() else {
            return problem.to_owned();
        };
        format!(
            "line {}: {problem}\n$ {}\n--- shown\n{}\n--- seen{}\n{}",
            last.line,
            last.command,
            last.expected.text(),
            if seen.is_ended { "" } else { " so far" },
            seen.text
        )
    }
}

impl Output {
    fn lock(&self) -> std::sync::MutexGuard<'_, Printed> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The children first: the shell waits for them.
        for (program, arguments) in [("pkill", "-TERM"), ("pkill", "-KILL")] {
            let shell = self.shell.id().to_string();
            let _ = Command::new(program)
                .args([arguments, "-P", &shell])
                .status();
            if arguments == "-TERM" {
                let _ = self.input.write_all(b"exit\n");
                let deadline = Instant::now() + Duration::from_secs(5);
                let printed = self.output.lock();
                let left = deadline.saturating_duration_since(Instant::now());
                drop(
                    self.output
                        .changed
                        .wait_timeout_while(printed, left, |printed| !printed.is_closed),
                );
            }
        }
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
