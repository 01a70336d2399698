//! A program in a pseudo-terminal, with which a test talks.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use super::terminal::Terminal;

/// The deadline of each wait.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// A program that reads the keys that a test types. Dropping it kills the program.
pub(crate) struct Dialogue {
    child: Child,
    keyboard: File,
    output: Receiver<Vec<u8>>,
    shown: String,
}

impl Dialogue {
    pub(crate) fn start(mut command: Command) -> Self {
        let (keyboard, command_side) = Terminal::open().into_sides();
        command
            .env("TERM", "xterm")
            .stdin(command_side.try_clone().unwrap())
            .stderr(command_side.try_clone().unwrap())
            .stdout(command_side);
        let child = command.spawn().unwrap();
        drop(command);
        let mut screen = keyboard.try_clone().unwrap();
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Reading ends with an error when the program has closed its side.
            while let Ok(length @ 1..) = screen.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            keyboard,
            output,
            shown: String::new(),
        }
    }

    pub(crate) fn type_text(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until `text` is shown after what was waited for before. Returns the text between.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let started = Instant::now();
        while !self.shown.contains(text) {
            let left = WAIT_TIMEOUT.saturating_sub(started.elapsed());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.shown += &String::from_utf8_lossy(&bytes),
                Err(error) => panic!("{text:?} is not shown: {error}: {:?}", self.shown),
            }
        }
        let shown = std::mem::take(&mut self.shown);
        let (before, rest) = shown.split_once(text).unwrap();
        self.shown = rest.to_owned();
        before.replace("\r\n", "\n")
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end of the program. Returns its exit code, and the text that was shown last.
    pub(crate) fn end(mut self) -> (i32, String) {
        while let Ok(bytes) = self.output.recv_timeout(WAIT_TIMEOUT) {
            self.shown += &String::from_utf8_lossy(&bytes);
        }
        let status = self.child.wait().unwrap();
        let code = status.code().expect("ended by a signal");
        (code, std::mem::take(&mut self.shown))
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        // A program that has ended is no error.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
