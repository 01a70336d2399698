//! The start of every program that a test runs.

use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// A child inherits ignored signals: SIGHUP under `nohup`, SIGINT in a background job of a script.
/// `env` of coreutils 8.31 or newer resets them.
const DEFAULT_SIGNALS: &str = "--default-signal=INT,HUP,TERM";

static ENV_RESETS_SIGNALS: LazyLock<bool> = LazyLock::new(|| {
    let tried = Command::new("env")
        .args([DEFAULT_SIGNALS, "true"])
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
});

/// A command that runs `program` with the default disposition of signals. On a system whose `env`
/// cannot reset signals, the program inherits the dispositions of the test.
///
/// The process id is that of the program: `env` replaces itself with it.
pub(super) fn command(program: impl AsRef<OsStr>) -> Command {
    if *ENV_RESETS_SIGNALS {
        let mut command = Command::new("env");
        command.arg(DEFAULT_SIGNALS).arg(program);
        command
    } else {
        Command::new(program)
    }
}
