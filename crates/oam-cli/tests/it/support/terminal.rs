//! A pseudo-terminal.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pty::{self, OpenptFlags};
use rustix::termios::{Winsize, tcsetwinsize};

/// The columns of a terminal for a test that does not choose them.
const DEFAULT_COLUMNS: u16 = 120;

const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// The terminal of one command.
pub(crate) struct Terminal {
    screen: File,
    command_side: File,
}

impl Terminal {
    pub(crate) fn open() -> Self {
        Self::with_columns(DEFAULT_COLUMNS)
    }

    pub(crate) fn with_columns(columns: u16) -> Self {
        let screen = pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        // macOS opens no terminal with this flag.
        fcntl_setfd(&screen, FdFlags::CLOEXEC).unwrap();
        pty::grantpt(&screen).unwrap();
        pty::unlockpt(&screen).unwrap();
        let name = pty::ptsname(&screen, Vec::new()).unwrap();
        let command_side = File::options()
            .read(true)
            .write(true)
            // It must not become the terminal of the tests themselves.
            .custom_flags(OFlags::NOCTTY.bits().cast_signed())
            .open(name.to_str().unwrap())
            .unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&screen, size).unwrap();
        Self {
            screen: screen.into(),
            command_side,
        }
    }

    /// The side of the screen and the keyboard, and that of the program.
    pub(super) fn into_sides(self) -> (File, File) {
        (self.screen, self.command_side)
    }

    /// Starts a command with stdout and stderr in the terminal.
    pub(crate) fn start(self, mut command: Command) -> InTerminal {
        let Self {
            mut screen,
            command_side,
        } = self;
        command
            .env("TERM", "xterm")
            .stderr(command_side.try_clone().unwrap())
            .stdout(command_side);
        let child = command.spawn().unwrap();
        // The command holds the command side of the terminal open.
        drop(command);
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                match screen.read(&mut bytes) {
                    Ok(length @ 1..) => {
                        if sender.send(bytes[..length].to_vec()).is_err() {
                            break;
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    // Reading ends with an error when the command side is closed.
                    Ok(0) | Err(_) => break,
                }
            }
        });
        InTerminal {
            child,
            output,
            bytes: Vec::new(),
        }
    }

    /// Runs a command to its end. Returns the exit code and the text in the terminal.
    pub(crate) fn run(self, command: Command) -> (i32, String) {
        self.start(command).end()
    }
}

/// A command that runs in a terminal. Dropping it kills it.
pub(crate) struct InTerminal {
    child: Child,
    output: Receiver<Vec<u8>>,
    bytes: Vec<u8>,
}

impl InTerminal {
    /// Waits until the terminal shows `text`.
    pub(crate) fn shows(&mut self, text: &str) {
        let end = Instant::now() + WAIT_TIMEOUT;
        while !String::from_utf8_lossy(&self.bytes).contains(text) {
            let left = end.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.bytes.extend(bytes),
                Err(_) => panic!("{text:?} is not shown: {}", self.text()),
            }
        }
    }

    /// Sends a signal, such as `-INT`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end. Returns the exit code and the text in the terminal.
    pub(crate) fn end(mut self) -> (i32, String) {
        let end = Instant::now() + WAIT_TIMEOUT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.bytes.extend(bytes),
                Err(_) if left.is_zero() => panic!("does not end: {}", self.text()),
                Err(_) => break,
            }
        }
        let code = self.child.wait().unwrap().code();
        (code.expect("ended by a signal"), self.text())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).replace("\r\n", "\n")
    }
}

impl Drop for InTerminal {
    fn drop(&mut self) {
        // Fails after the end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
