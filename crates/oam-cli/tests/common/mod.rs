//! A home, a working directory and a terminal's worth of commands for one test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use openagentmesh_local::{LocalServer, NatsServerSearch};
use tempfile::TempDir;

/// The `nats-server` of this machine, so that a home of a test's own needs none.
static NATS_SERVER: LazyLock<PathBuf> = LazyLock::new(|| {
    // A thread of its own: the test that asks first may run on a runtime already.
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

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it ended by itself"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A home and a working directory; whatever mesh was started in it is stopped at the end.
pub(crate) struct Sandbox {
    home: TempDir,
    work: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self {
            home: TempDir::new().unwrap(),
            work: TempDir::new().unwrap(),
        }
    }

    pub(crate) fn work(&self) -> &Path {
        self.work.path()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oam"));
        command
            .args(arguments)
            .current_dir(self.work())
            .env("HOME", self.home.path())
            .env("OAM_NATS_SERVER", &*NATS_SERVER)
            .env_remove("OAM_URL")
            .env_remove("OAM_CREDS")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn oam(&self, arguments: &[&str]) -> Ran {
        self.command(arguments).output().unwrap().into()
    }

    pub(crate) fn oam_with_stdin(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// The URL that `.oam-url` names.
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

/// A mesh of the test's own, served by the test itself.
pub(crate) async fn mesh() -> (LocalServer, openagentmesh::AgentMesh) {
    let server = LocalServer::start().await.unwrap();
    let mesh = openagentmesh::AgentMesh::connect(server.url())
        .await
        .unwrap();
    (server, mesh)
}
