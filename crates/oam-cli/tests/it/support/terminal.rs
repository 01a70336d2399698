//! A pseudo-terminal.

use std::fs::File;
use std::io::Read;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pty::{self, OpenptFlags};
use rustix::termios::{Winsize, tcsetwinsize};

/// The terminal of one command.
pub(super) struct Terminal {
    screen: File,
    command_side: File,
}

impl Terminal {
    pub(super) fn open() -> Self {
        let screen = pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        // macOS opens no terminal with this flag.
        fcntl_setfd(&screen, FdFlags::CLOEXEC).unwrap();
        pty::grantpt(&screen).unwrap();
        pty::unlockpt(&screen).unwrap();
        let name = pty::ptsname(&screen, Vec::new()).unwrap();
        let command_side = File::options()
            .read(true)
            .write(true)
            .open(name.to_str().unwrap())
            .unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: 120,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&screen, size).unwrap();
        Self {
            screen: screen.into(),
            command_side,
        }
    }

    /// Runs a command to its end. Returns the exit code and the text in the terminal.
    pub(super) fn run(self, mut command: Command) -> (i32, String) {
        let Self {
            mut screen,
            command_side,
        } = self;
        command
            .env("TERM", "xterm")
            .stderr(command_side.try_clone().unwrap())
            .stdout(command_side);
        let mut child = command.spawn().unwrap();
        // The command holds the command side of the terminal open.
        drop(command);
        let mut text = Vec::new();
        // Reading ends with an error when the command side is closed.
        drop(screen.read_to_end(&mut text));
        let code = child.wait().unwrap().code().expect("ended by a signal");
        (code, String::from_utf8(text).unwrap().replace("\r\n", "\n"))
    }
}
