//! Shell scripts that act as other programs.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The text of a program that prints `version` as `nats-server` does.
pub(crate) fn printing_version(version: &str) -> String {
    format!("#!/bin/sh\necho 'nats-server: v{version}'\n")
}

/// Writes an executable text file called `name` into `directory`.
///
/// A child process writes the file. If this process did, a child that another test is just forking
/// could inherit the open file, and running the program would fail with "text file busy".
pub(crate) fn write_program(directory: &Path, name: &str, text: &str) -> PathBuf {
    std::fs::create_dir_all(directory).unwrap();
    let path = directory.join(name);
    let mut writer = Command::new("/bin/sh")
        .args(["-c", "cat > \"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = writer.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    assert!(writer.wait().unwrap().success());
    path
}
