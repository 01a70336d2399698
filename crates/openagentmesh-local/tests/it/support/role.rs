//! Roles: parts of a test that run in a child process.
//!
//! A role is an ignored test in [`crate::roles`]. The child re-executes the test binary with that
//! test only.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use super::process::KilledOnDrop;

/// The variable with the home directory of a role. An ignored test without it does nothing.
const HOME_VARIABLE: &str = "OAM_LOCAL_TEST_HOME";

/// The home directory of this role; `None` if this process is not a child with a role.
pub(crate) fn home() -> Option<PathBuf> {
    std::env::var_os(HOME_VARIABLE).map(PathBuf::from)
}

/// Runs the role `name` in a child process.
pub(crate) fn start(name: &str, home: &Path) -> KilledOnDrop {
    start_within(&[], name, home)
}

/// Like [`start`], but started by another program that takes a command line, such as `unshare`.
pub(crate) fn start_within(starter: &[&str], name: &str, home: &Path) -> KilledOnDrop {
    let this = std::env::current_exe().unwrap();
    let mut line = reset_signals()
        .iter()
        .chain(starter)
        .map(OsStr::new)
        .chain([this.as_os_str()]);
    let child = Command::new(line.next().unwrap())
        .args(line)
        .args(["--exact", &format!("roles::{name}"), "--ignored"])
        .arg("--nocapture")
        .env(HOME_VARIABLE, home)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    KilledOnDrop(child)
}

/// A program that restores the default action of SIGINT and SIGHUP and then executes its arguments,
/// with the same process id.
///
/// `nohup`, or a shell script that runs the tests in the background, ignores these signals, and
/// children inherit that. The standard library cannot restore the default without unsafe code, but
/// `env` of coreutils 8.31 or later can. Other systems get an empty command line: there the tests
/// need a shell that does not ignore signals.
fn reset_signals() -> &'static [&'static str] {
    const ENV: &[&str] = &["env", "--default-signal=INT,HUP"];
    static SUPPORTED: LazyLock<bool> = LazyLock::new(|| {
        Command::new(ENV[0])
            .args(&ENV[1..])
            .arg("true")
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    });
    if *SUPPORTED { ENV } else { &[] }
}
