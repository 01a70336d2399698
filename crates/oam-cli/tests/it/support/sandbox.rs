//! A home and a working directory of one test.

use std::ffi::OsStr;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use openagentmesh_local::NatsServerSearch;
use tempfile::TempDir;

use super::output::{ByteOutput, CommandOutput};
use super::program;

/// The `nats-server` of this machine, so that the empty home of a test needs no installation.
static NATS_SERVER: LazyLock<PathBuf> = LazyLock::new(|| {
    // On a separate thread, because the first test to ask may already run on a runtime.
    let search = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime
            .block_on(NatsServerSearch::new().find_or_install())
            .unwrap()
    });
    search.join().unwrap().path().to_owned()
});

/// The path of the `nats-server` of this machine.
pub(crate) fn nats_server() -> &'static Path {
    &NATS_SERVER
}

/// Unlike that of `TMPDIR`, this path has the same length on every machine: messages are wrapped around the paths in them.
pub(crate) const SHORT_TEMPORARY_DIRECTORY: &str = "/tmp";

/// A home and a working directory. Dropping it stops the mesh that `.oam-url` names.
pub(crate) struct Sandbox {
    home: TempDir,
    work: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self {
            home: TempDir::new_in(SHORT_TEMPORARY_DIRECTORY).unwrap(),
            work: TempDir::new_in(SHORT_TEMPORARY_DIRECTORY).unwrap(),
        }
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn work(&self) -> &Path {
        self.work.path()
    }

    /// A command `oam`, with an empty stdin and with pipes for its output.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_oam"));
        command.args(arguments);
        command
    }

    /// A command of any program, as [`Sandbox::command`].
    pub(crate) fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = program::command(program);
        command
            .current_dir(self.work())
            .env("HOME", self.home.path())
            .env("OAM_NATS_SERVER", nats_server())
            .env_remove("OAM_URL")
            .env_remove("OAM_CONTEXT")
            .env_remove("OAM_CREDS")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn oam(&self, arguments: &[&str]) -> CommandOutput {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs the command until it ends with exit code `code`: the servers of a cluster may elect a leader for longer than a
    /// command waits.
    pub(crate) fn until_code(&self, arguments: &[&str], code: i32) -> CommandOutput {
        let started = Instant::now();
        loop {
            let output = self.oam(arguments);
            if output.code == code {
                return output;
            }
            assert!(
                started.elapsed() < Duration::from_secs(120),
                "{arguments:?}: {output:?}"
            );
        }
    }

    pub(crate) fn oam_with_stdin(&self, arguments: &[&str], input: &str) -> CommandOutput {
        self.output(arguments, input.as_bytes()).into()
    }

    /// Runs a command with binary input and output.
    pub(crate) fn oam_with_bytes(&self, arguments: &[&str], input: &[u8]) -> ByteOutput {
        self.output(arguments, input).into()
    }

    fn output(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let written = child.stdin.take().unwrap().write_all(input);
        // A command that reads no stdin may have ended before.
        assert!(!written.is_err_and(|error| error.kind() != ErrorKind::BrokenPipe));
        child.wait_with_output().unwrap()
    }

    /// The URL in `.oam-url`.
    pub(crate) fn url(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.work().join(".oam-url")).ok()?;
        Some(text.trim().to_owned())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.url().is_some() {
            self.oam(&["mesh", "down"]);
        }
    }
}
